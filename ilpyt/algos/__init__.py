"""Algorithms: the train loops, and nothing else."""

from ilpyt.algos.a2c import A2C
from ilpyt.algos.apprentice import AppL, Apprentice
from ilpyt.algos.base_algo import BaseAlgorithm
from ilpyt.algos.bc import BC
from ilpyt.algos.dagger import DAgger
from ilpyt.algos.dqn import DQN
from ilpyt.algos.gail import GAIL
from ilpyt.algos.gcl import GCL
from ilpyt.algos.ppo import PPO
from ilpyt.algos.rl import RL

# By name, in the order of the paper's Table 1.
ALGORITHMS: dict[str, type[BaseAlgorithm]] = {
    algo.__name__: algo for algo in (BC, DAgger, GAIL, GCL, AppL, DQN, A2C, PPO)
}

__all__ = [
    "A2C",
    "ALGORITHMS",
    "BC",
    "DQN",
    "GAIL",
    "GCL",
    "PPO",
    "RL",
    "AppL",
    "Apprentice",
    "BaseAlgorithm",
    "DAgger",
]
