"""Behavioral cloning: imitation as supervised learning (Pomerleau 1989)."""

import copy
from pathlib import Path
from typing import Any

import torch
from torch.optim.lr_scheduler import ReduceLROnPlateau

from ilpyt.agents.imitation_agent import CHUNK, ImitationAgent
from ilpyt.algos.base_algo import BaseAlgorithm
from ilpyt.algos.monitor import BestWeights
from ilpyt.envs.vec_env import VecEnv
from ilpyt.nets.base_net import LOG_STD_BOUNDS, BaseNetwork
from ilpyt.nets.choose import choose_net
from ilpyt.runners.experiences import Experiences
from ilpyt.utils.checkpoint import check_like


class BC(BaseAlgorithm):
    """Learns a policy from demonstrations alone: the environment is not stepped in training."""

    agent: ImitationAgent
    agent_class = ImitationAgent

    @classmethod
    def make_agent(cls, env: VecEnv, net: dict[str, Any] | None = None, **agent_kwargs: Any) -> ImitationAgent:
        """A policy that fits an environment; for the arguments see `BaseAlgorithm.make_agent` and `ImitationAgent`."""
        return ImitationAgent(choose_net(env, **(net or {})), **agent_kwargs)

    def train(
        self,
        num_epochs: int = 1000,
        batch_size: int = 64,
        expert_demos: str | Path | Experiences | None = None,
        *,
        early_stopping: bool = True,
        validation_fraction: float = 0.1,
        patience: int = 15,
        save_interval: int = 100,
        resume: bool = False,
    ) -> None:
        """Fit the policy to demonstrations.

        With early stopping, some episodes are held out. Whenever the policy stops becoming better on them, the learning
        rate falls to a fifth; when that has long not helped, training ends, and the agent has the weights that were
        best. Without, or with so few episodes that the share to hold out is less than one of them, all episodes are
        learnt from in all epochs, at one learning rate.

        Args:
            num_epochs: passes over the demonstrations, at most.
            batch_size: transitions of one gradient update.
            expert_demos: a demonstration file, 'minari:ID' or `Experiences`; there is no default.
            early_stopping: see above.
            validation_fraction: share of the episodes that early stopping holds out.
            patience: epochs without a better held-out loss after which training ends; the learning rate falls after a
                third of it.
            save_interval: epochs between saves of the weights.
            resume: go on from `checkpoint.pt` in `save_path`; what comes of it is to the bit what an uninterrupted
                training gives.

        Raises:
            FileNotFoundError: there is no such file.
            DataError: the demonstrations are broken, or of another environment.
            TrainingError: the loss is no longer finite; the best weights so far are saved.
        """
        at_least_1 = {"num_epochs": num_epochs, "batch_size": batch_size, "patience": patience}
        for name, value in {**at_least_1, "save_interval": save_interval}.items():
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        if not 0 < validation_fraction < 1:
            raise ValueError(f"validation_fraction must be between 0 and 1, got {validation_fraction}")
        demos = self.load_demos(expert_demos)
        # One of a handful says too little about when to stop. On LunarLander-v2, clones of 2, 3, 5 and 7 episodes
        # (three seeds) scored -159, 9, 127 and 186 on validation episodes with one held out, 115, 202, 188 and 196
        # without; of 10, 186 and 168.
        num_episodes = len(demos.bounds())
        if early_stopping and num_episodes * validation_fraction < 1:
            self.say(f"{num_episodes} episodes are too few to hold any out, so training takes all epochs.")
            early_stopping = False
        train, held_out = demos.split(validation_fraction) if early_stopping else (demos, None)
        del demos  # if they were split, both sides are copies
        self.agent.observe(train.states)

        stopping = _EarlyStopping(self.agent, patience)
        config: dict[str, Any] = {**at_least_1, "expert_demos": expert_demos, "early_stopping": early_stopping}
        config["validation_fraction"] = validation_fraction
        parts = {"stopping": stopping}
        with self.training(num_epochs, "epoch", resume=resume, parts=parts, **config) as loop:
            epoch = loop.done
            try:
                for epoch in loop.steps(range(1, num_epochs + 1)):
                    if stopping.is_over:
                        break
                    metrics = self.agent.train_epoch(train.states, train.actions, batch_size)
                    self.epochs += 1
                    if held_out is not None:
                        metrics |= self.agent.validate(held_out)
                        stopping.step(epoch, metrics["validation_loss"])
                    self.log(self.epochs, metrics)
                    if epoch % save_interval == 0 or stopping.is_over:
                        self.save()
                        self.checkpoint()
                    if stopping.is_over:
                        break
            finally:
                stopping.restore()
        if held_out is not None:
            stopped = f"Stopped after epoch {epoch}" if stopping.is_over else f"All {num_epochs} epochs done"
            self.say(
                f"{stopped}; kept the weights of epoch {stopping.best_epoch}, validation loss {stopping.best:.4g}."
            )

    epochs: int = 0  # passes over demonstrations, in all calls of `train`

    def state_dict(self) -> dict[str, Any]:
        """Everything that going on from here needs."""
        return {**super().state_dict(), "epochs": self.epochs}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        super().load_state_dict(state)
        self.epochs = state["epochs"]

    @property
    def steps_done(self) -> int:
        """Epochs, which the weights are numbered with."""
        return self.epochs


def clone(
    policy: BaseNetwork,
    demos: Experiences,
    num_epochs: int,
    *,
    fit_std: bool = False,
    batch_size: int = 256,
    lr: float = 1e-3,
) -> None:
    """Behavioral cloning in short, for a policy that something else trains further.

    Args:
        policy: the network, which takes over the weights at the end.
        demos: what the expert did.
        num_epochs: passes over all of it.
        fit_std: give it the standard deviations that are the likeliest, if it has any. False: they stay as they are,
            since a policy that learns on needs them to explore.
        batch_size: transitions of one gradient update.
        lr: learning rate (Adam).
    """
    agent = ImitationAgent(copy.deepcopy(policy), lr)  # an optimizer of its own needs weights of its own
    is_normal = policy.action_type == "continuous"
    if is_normal:
        agent.net.log_std.requires_grad_(False)
    agent.observe(demos.states)
    for _ in range(num_epochs):
        agent.train_epoch(demos.states, demos.actions, batch_size)
    weights = agent.net.state_dict()
    if is_normal and fit_std:
        with torch.no_grad():
            parts = zip(demos.states.split(CHUNK), demos.actions.split(CHUNK), strict=True)
            squares = torch.cat([(agent.net(states) - actions).square() for states, actions in parts])
        weights["log_std"] = 0.5 * squares.mean(0).log().clamp(*(2 * bound for bound in LOG_STD_BOUNDS))
    policy.load_state_dict(weights)


class _EarlyStopping:
    """Keeps the weights with the least held-out loss, and says when waiting for better ones is over."""

    def __init__(self, agent: ImitationAgent, patience: int) -> None:
        self._optimizer = agent.optimizers["net"]
        self._initial_lrs = [group["lr"] for group in self._optimizer.param_groups]
        self._schedule = ReduceLROnPlateau(self._optimizer, factor=0.2, patience=patience // 3)
        self._patience = patience
        self._best = BestWeights(agent)
        self.is_over = False

    @property
    def best(self) -> float:
        """The least held-out loss so far."""
        return -self._best.score

    @property
    def best_epoch(self) -> int:
        """The epoch that it came after; 0 before the first."""
        return self._best.step

    def step(self, epoch: int, loss: float) -> None:
        """Take in the held-out loss after an epoch."""
        self._schedule.step(loss)
        self._best.offer(-loss, epoch)
        self.is_over = epoch - self.best_epoch >= self._patience

    def restore(self) -> None:
        """Give the network its best weights, if there are any, and the optimizer the learning rate it had."""
        self._best.restore()
        for group, lr in zip(self._optimizer.param_groups, self._initial_lrs, strict=True):
            group["lr"] = lr

    def state_dict(self) -> dict[str, Any]:
        """The best weights, the learning rates' schedule, and whether waiting is over."""
        return {
            "best": self._best.state_dict(),
            "schedule": self._schedule.state_dict(),
            "initial_lrs": self._initial_lrs,
            "is_over": self.is_over,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        own = self._schedule.state_dict()
        # PyTorch's versions have other entries.
        schedule = {name: state["schedule"].get(name, value) for name, value in own.items()}
        check_like(schedule, own, "the schedule", free=["_last_lr"])
        self._best.load_state_dict(state["best"])
        self._schedule.load_state_dict(schedule)
        self._initial_lrs, self.is_over = state["initial_lrs"], state["is_over"]
