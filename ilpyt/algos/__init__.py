"""Algorithms: the train loops, and nothing else."""

from ilpyt.algos.base_algo import BaseAlgorithm
from ilpyt.algos.bc import BC

__all__ = ["BC", "BaseAlgorithm"]
