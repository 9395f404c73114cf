"""Behavioral cloning: imitation as supervised learning (Pomerleau 1989)."""

import copy
import math
from pathlib import Path
from typing import Any

import torch
from torch.optim.lr_scheduler import ReduceLROnPlateau

from ilpyt.agents.imitation_agent import ImitationAgent, StateActions
from ilpyt.algos.base_algo import BaseAlgorithm
from ilpyt.runners.experiences import Experiences

CHUNK = 4096  # transitions of one forward pass over held-out data


class BC(BaseAlgorithm):
    """Learns a policy from demonstrations alone: the environment is not stepped in training."""

    agent: ImitationAgent

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
    ) -> None:
        """Fit the policy to demonstrations.

        With early stopping, some episodes are held out. Whenever the policy stops becoming better on them, the learning
        rate falls to a fifth; when that has long not helped, training ends, and the agent has the weights that were
        best. Without, all episodes are learnt from in all epochs, at one learning rate.

        Args:
            num_epochs: passes over the demonstrations, at most.
            batch_size: transitions of one gradient update.
            expert_demos: a demonstration file, or `Experiences`; there is no default.
            early_stopping: see above.
            validation_fraction: share of the episodes that early stopping holds out, at least one.
            patience: epochs without a better held-out loss after which training ends; the learning rate falls after a
                third of it.
            save_interval: epochs between saves of the weights.

        Raises:
            FileNotFoundError: there is no such file.
            DataError: the demonstrations are broken, or of another environment.
            TrainingError: the loss is no longer finite; the best weights so far are saved.
        """
        at_least_1 = {"num_epochs": num_epochs, "batch_size": batch_size, "patience": patience}
        for name, value in {**at_least_1, "save_interval": save_interval}.items():
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        if not isinstance(self.agent, ImitationAgent):
            raise TypeError(f"BC trains an ImitationAgent, not a {type(self.agent).__name__}")
        if expert_demos is None:
            raise TypeError("train needs expert_demos: a demonstration file, or Experiences")
        demos = self.load_demos(expert_demos)
        if early_stopping and len(demos.bounds()) == 1:
            self.say("One episode only: none can be held out, so training takes all epochs.")
            early_stopping = False
        train, held_out = demos.split(validation_fraction) if early_stopping else (demos, None)
        self.agent.observe(train.states)

        optimizer = self.agent.optimizers["net"]
        initial_lrs = [group["lr"] for group in optimizer.param_groups]
        schedule = ReduceLROnPlateau(optimizer, factor=0.2, patience=patience // 3)
        best_loss, best_epoch, best_weights = math.inf, 0, None
        config: dict[str, Any] = {"num_epochs": num_epochs, "batch_size": batch_size, "expert_demos": expert_demos}
        config |= {"early_stopping": early_stopping, "validation_fraction": validation_fraction, "patience": patience}
        with self.training(num_epochs, "epoch", **config) as bar:
            try:
                for epoch in bar.steps(range(1, num_epochs + 1)):
                    metrics = self._train_epoch(train, batch_size)
                    self.epochs += 1
                    if held_out is not None:
                        error, loss = self._validate(held_out)
                        metrics |= {"validation_error": error, "validation_loss": loss}
                        schedule.step(loss)
                        if loss < best_loss:
                            best_loss, best_epoch = loss, epoch
                            best_weights = copy.deepcopy(self.agent.net.state_dict())
                    self.log(self.epochs, metrics)
                    if epoch % save_interval == 0:
                        self.save()
                    if held_out is not None and epoch - best_epoch >= patience:
                        break
            finally:
                if best_weights is not None:
                    self.agent.net.load_state_dict(best_weights)
                for group, lr in zip(optimizer.param_groups, initial_lrs, strict=True):
                    group["lr"] = lr
        if held_out is not None:
            stopped = f"Stopped after epoch {epoch}" if epoch < num_epochs else f"All {num_epochs} epochs done"
            self.say(f"{stopped}; kept the weights of epoch {best_epoch}, validation loss {best_loss:.4g}.")

    epochs: int = 0  # passes over demonstrations, in all calls of `train`

    @property
    def steps_done(self) -> int:
        """Epochs, which the weights are numbered with."""
        return self.epochs

    def _train_epoch(self, demos: Experiences, batch_size: int) -> dict[str, float]:
        """One pass over the demonstrations in random order; the mean loss of its updates."""
        total = 0.0
        states, actions = demos.states, demos.actions
        batches = torch.randperm(len(demos)).to(states.device).split(batch_size)
        for indices in batches:
            total += self.agent.update(StateActions(states[indices], actions[indices]))["loss"]
        return {"loss": total / len(batches)}

    def _validate(self, demos: Experiences) -> tuple[float, float]:
        """Mean error and loss over demonstrations that aren't learnt from."""
        error = loss = 0.0
        for start in range(0, len(demos), CHUNK):
            chunk = demos[start : start + CHUNK]
            metrics = self.agent.validate(chunk)
            error += metrics["error"] * len(chunk) / len(demos)
            loss += metrics["loss"] * len(chunk) / len(demos)
        return error, loss
