"""Behavioral cloning: imitation as supervised learning (Pomerleau 1989)."""

import copy
from pathlib import Path

import torch

from ilpyt.agents.imitation_agent import ImitationAgent
from ilpyt.algos.base_algo import BaseAlgorithm
from ilpyt.runners.experiences import Experiences

CHUNK = 4096  # transitions of one forward pass over held-out data


class BC(BaseAlgorithm):
    """Learns a policy from demonstrations alone: the environment is not stepped in training."""

    agent: ImitationAgent

    def train(
        self,
        num_epochs: int = 1000,
        batch_size: int = 32,
        expert_demos: str | Path | Experiences = "demos.pkl",
        *,
        early_stopping: bool = True,
        validation_fraction: float = 0.1,
        patience: int = 30,
        save_interval: int = 100,
    ) -> None:
        """Fit the policy to demonstrations.

        Some episodes are held out. With early stopping, training ends when the policy hasn't become better on them for
        a while, and the agent is left with the best weights; without, all episodes are learnt from for all epochs.

        Parameters
        ----------
        num_epochs: passes over the demonstrations, at most.
        batch_size: transitions of one gradient update.
        expert_demos: a demonstration file, or `Experiences`.
        early_stopping: see above.
        validation_fraction: share of the episodes that are held out.
        patience: epochs without a better validation loss after which training stops.
        save_interval: epochs between saves.
        """
        ...
