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

__all__ = ["A2C", "BC", "DQN", "GAIL", "GCL", "PPO", "RL", "AppL", "Apprentice", "BaseAlgorithm", "DAgger"]
