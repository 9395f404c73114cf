"""Algorithms: the train loops, and nothing else."""

from ilpyt.algos.a2c import A2C
from ilpyt.algos.base_algo import BaseAlgorithm
from ilpyt.algos.bc import BC
from ilpyt.algos.dqn import DQN
from ilpyt.algos.ppo import PPO
from ilpyt.algos.rl import RL

__all__ = ["A2C", "BC", "DQN", "PPO", "RL", "BaseAlgorithm"]
