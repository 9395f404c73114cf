"""What agents that learn from rewards share: `RLAgent`, and `ActorCriticAgent` for A2C and PPO."""

import abc
import math
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ilpyt.agents.base_agent import BaseAgent
from ilpyt.nets.base_net import BaseNetwork
from ilpyt.utils.errors import TrainingError
from ilpyt.utils.flat_adam import FlatAdam
from ilpyt.utils.returns import generalized_advantages
from ilpyt.utils.schedules import Schedule, as_schedule

CHUNK = 4096  # transitions of one forward pass without gradient


class RLAgent(BaseAgent):
    """An agent that learns from the rewards of rollouts.

    Extend it by `initialize`, which calls `set_up`, and by `step` and `learn`.

    Attributes:
        env_steps: transitions learnt from so far, of all environments together; what schedules go by.
        rollout_steps: env steps of each environment in a rollout, where nobody says otherwise.
    """

    rollout_steps: ClassVar[int] = 128

    def set_up(
        self,
        optimizer: str,
        trained: dict[str, BaseNetwork],
        lr: float | Schedule,
        gamma: float,
        reward_scale: float,
        *,
        others: dict[str, BaseNetwork] | None = None,
    ) -> None:
        """Register networks, and one optimizer for those that are trained.

        Args:
            optimizer: its name, which errors give.
            trained: the networks that are trained, by name.
            lr: learning rate of Adam (Kingma & Ba 2015), or a schedule of it.
            gamma: discount per env step, 0..1.
            reward_scale: what rewards are multiplied with before anything is learnt from them.
            others: networks that aren't, by name.
        """
        if not 0 <= gamma <= 1:
            raise ValueError(f"gamma must be in 0..1, got {gamma}")
        self.nets = {**trained, **(others or {})}
        self.lr = as_schedule(lr)
        self.gamma = gamma
        self.reward_scale = reward_scale
        self.env_steps = 0
        weights = [p for net in trained.values() for p in net.parameters()]
        # epsilon: Huang et al. 2022, "The 37 implementation details of PPO", detail 3
        self.optimizers = {optimizer: FlatAdam(weights, lr=self.lr(0), eps=1e-5)}

    @abc.abstractmethod
    def learn(self, batch: Any) -> dict[str, float]:
        """Learn from a rollout whose rewards are scaled; metrics, under the same names every time."""

    def update(self, batch: Any) -> dict[str, float]:
        """Learn from a rollout.

        Args:
            batch: a `Batch` [T, N, ...].

        Returns:
            metrics, under the same names every time; nan where there's nothing to report yet.

        Raises:
            TrainingError: a reward, a loss or a gradient isn't finite. The weights are left as they were before it.
        """
        _check_finite("reward", batch.rewards)
        _check_finite("state", batch.states)
        lr = self.lr(self.env_steps)
        for optimizer in self.optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = lr
        if self.reward_scale != 1:
            batch = batch.replace(rewards=batch.rewards * self.reward_scale)
        # Later rollouts are taken in after they were learnt from: the policy that acted saw states normalised as they
        # were until then. The first can't wait: what is learnt on raw states is worthless once they are normalised.
        is_first = self.env_steps == 0
        if is_first:
            self.observe(batch.states.flatten(0, 1))
        metrics = self.learn(batch)
        if not is_first:
            self.observe(batch.states.flatten(0, 1))
        self.env_steps += batch.rewards.numel()
        return {**metrics, "lr": lr}

    def relabel(self, reward: Callable[[Any], Tensor]) -> None:
        """From now on, what it remembers, if it does, is worth what `reward` says, not what it was worth then.

        Args:
            reward: gives rewards [B], unscaled, of B transitions with `states`, `actions` and `next_states`.
        """

    def state_dict(self) -> dict[str, Any]:
        """Everything that going on from here needs."""
        return {**super().state_dict(), "env_steps": self.env_steps}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        super().load_state_dict(state)
        self.env_steps = state["env_steps"]


def _check_finite(what: str, values: Tensor) -> None:
    """Name the first of some values [T, N, ...] that is nan or infinite, if any is."""
    if not values.is_floating_point() or math.isfinite(values.sum().item()):
        return
    for where in torch.nonzero(~torch.isfinite(values)).tolist():
        raise TrainingError(
            f"the {what} of environment {where[1]} at step {where[0]} of a rollout is {values[tuple(where)]}; the "
            "weights are left as they were before it"
        )


class ActorCriticAgent(RLAgent):
    """A policy (actor) and the value of states under it (critic), two networks."""

    def set_up_actor_critic(
        self,
        actor: BaseNetwork,
        critic: BaseNetwork,
        *,
        lr: float | Schedule,
        gamma: float,
        entropy_coeff: float,
        gae_lambda: float,
        value_coeff: float,
        max_grad_norm: float | None,
        normalize_advantages: bool,
        reward_scale: float,
    ) -> None:
        """Take the networks and what A2C and PPO have in common; for the parameters see there."""
        if actor.action_type is None:
            raise ValueError("the actor gives values, not actions; make it with choose_net(env)")
        check_gives_value("critic", critic, "choose_net(env, output_shape=1)")
        if not 0 <= gae_lambda <= 1:
            raise ValueError(f"gae_lambda must be in 0..1, got {gae_lambda}")
        self.actor = actor
        self.critic = critic
        self.entropy_coeff = entropy_coeff
        self.gae_lambda = gae_lambda
        self.value_coeff = value_coeff
        self.max_grad_norm = max_grad_norm
        self.normalize_advantages = normalize_advantages
        self.set_up("actor-critic", {"actor": actor, "critic": critic}, lr, gamma, reward_scale)

    def step(self, state: Tensor) -> np.ndarray:
        """Actions int64 [N] or float32 [N, A] for states [N, *obs]: sampled in training, the mode in testing."""
        with torch.inference_mode():
            _, action = self.actor.get_action(state, deterministic=not self.training)
        return action.cpu().numpy()

    def value(self, states: Tensor) -> Tensor:
        """V(s) for states [B, *obs], as [B]; without gradient in chunks, so that rollouts of images fit into memory."""
        if torch.is_grad_enabled() or len(states) <= CHUNK:
            return self.critic(states).squeeze(1)
        return torch.cat([self.critic(chunk).squeeze(1) for chunk in states.split(CHUNK)])

    @torch.no_grad()
    def advantages(self, batch: Any, values: Tensor) -> Tensor:
        """GAE of a rollout [T, N], given the values [T, N] of its states; no gradient flows through it."""
        next_values = self.value(batch.next_states.flatten(0, 1)).view_as(values)
        return generalized_advantages(
            batch.rewards, values, next_values, batch.dones, batch.terminated, self.gamma, self.gae_lambda
        )


def check_gives_value(name: str, net: BaseNetwork, how: str) -> None:
    """Refuse a network of other than one output, or of actions; `how` to make one that fits goes into the error."""
    if net.num_outputs != 1 or net.action_type is not None:
        given = "is a policy" if net.action_type else f"has {net.num_outputs} outputs"
        raise ValueError(f"the {name} {given}; make it with {how}")


def value_loss(values: Tensor, returns: Tensor) -> Tensor:
    """Mean squared error of values [B] against returns [B], which carry no gradient (Mnih et al. 2016, alg. S3)."""
    return F.mse_loss(values, returns)


def normalized(advantages: Tensor) -> Tensor:
    """Advantages shifted and scaled to mean 0 and standard deviation 1; a single one stays as it is."""
    if advantages.numel() < 2:
        return advantages
    return (advantages - advantages.mean()) / (advantages.std() + 1e-8)


def explained_variance(values: Tensor, returns: Tensor) -> Tensor:
    """1 - Var(returns - values) / Var(returns): 1 if the critic is right, 0 if it does no better than a constant.

    nan where all returns are the same.
    """
    variance = returns.var(correction=0)
    return torch.where(variance > 0, 1 - (returns - values).var(correction=0) / variance, torch.nan)
