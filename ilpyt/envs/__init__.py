"""Vectorized environments over gymnasium, gym and whatever behaves like them.

`build_env` makes them from an id; `DummyVecEnv` steps them in this process, `SubProcVecEnv` in worker processes.
"""

from ilpyt.envs.build import build_env, drawing_env
from ilpyt.envs.discretize import DiscretizeAction
from ilpyt.envs.dummy_vec_env import DummyVecEnv
from ilpyt.envs.subproc_vec_env import SubProcVecEnv
from ilpyt.envs.vec_env import VecEnv

SubprocVecEnv = SubProcVecEnv

__all__ = ["DiscretizeAction", "DummyVecEnv", "SubProcVecEnv", "SubprocVecEnv", "VecEnv", "build_env", "drawing_env"]
