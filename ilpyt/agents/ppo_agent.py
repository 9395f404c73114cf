"""`PPOAgent`: proximal policy optimization (Schulman et al. 2017)."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ilpyt.agents.rl_agent import CHUNK, ActorCriticAgent, explained_variance, normalized, value_loss
from ilpyt.nets.base_net import BaseNetwork
from ilpyt.utils.schedules import Schedule, as_schedule


def ppo_policy_loss(log_probs: Tensor, old_log_probs: Tensor, advantages: Tensor, clip_ratio: float) -> Tensor:
    """Clipped surrogate objective, negated (Schulman et al. 2017, eq. 7). All inputs float32 [B].

    Its min(r A, clip(r, 1 - e, 1 + e) A) is r A, but at most (1 + e) A where A is positive and (1 - e) A where it's
    negative: at most A + e |A|.
    """
    ratio = (log_probs - old_log_probs).exp()
    return -torch.min(ratio * advantages, advantages + clip_ratio * advantages.abs()).mean()


def clipped_value_loss(values: Tensor, old_values: Tensor, returns: Tensor, clip_values: float) -> Tensor:
    """Squared error of which the worse counts: the values', or theirs moved no further than `clip_values` from the old.

    Not in the paper, but in its authors' code (Engstrom et al. 2020, "Implementation matters", eq. 2). All inputs [B].
    """
    clipped = old_values + (values - old_values).clamp(-clip_values, clip_values)
    return torch.max((returns - values).square(), (returns - clipped).square()).mean()


class Samples(NamedTuple):
    """A rollout, flat [B], and what the policy and the critic made of it before the first gradient step."""

    states: Tensor
    actions: Tensor
    log_probs: Tensor
    values: Tensor
    advantages: Tensor
    returns: Tensor

    def minibatches(self, size: int) -> Iterator["Samples"]:
        """All samples once, in random order, `size` at a time; the last may be fewer."""
        order = torch.randperm(len(self.states)).to(self.states.device)
        # One gather a field and views of it: a gather for each minibatch took a tenth of the update.
        return map(Samples._make, zip(*(field[order].split(size) for field in self), strict=True))


class PPOAgent(ActorCriticAgent):
    """Learns from each rollout in several epochs of minibatches, without straying far from the policy that made it."""

    rollout_steps = 128

    def initialize(
        self,
        actor: BaseNetwork,
        critic: BaseNetwork,
        lr: float | Schedule = 3e-4,
        gamma: float = 0.99,
        clip_ratio: float | Schedule = 0.2,
        entropy_coeff: float = 0.0,
        *,
        num_epochs: int = 10,
        batch_size: int = 64,
        gae_lambda: float = 0.95,
        value_coeff: float = 0.5,
        max_grad_norm: float | None = 0.5,
        normalize_advantages: bool = True,
        clip_values: float | None = None,
        target_kl: float | None = None,
        reward_scale: float = 1.0,
    ) -> None:
        """Take a policy and a critic.

        Args:
            actor: the policy, as `choose_net(env)` makes it.
            critic: the value function, as `choose_net(env, output_shape=1)` makes it.
            lr: learning rate of Adam for both, or a schedule of it over env steps.
            gamma: discount per env step.
            clip_ratio: the objective's epsilon, or a schedule of it over env steps.
            entropy_coeff: weight of the policy's entropy (nats), which is maximised.
            num_epochs: passes over a rollout.
            batch_size: transitions of one gradient update.
            gae_lambda: lambda of GAE (Schulman et al. 2016).
            value_coeff: weight of the critic's loss.
            max_grad_norm: clip the norm of the gradient of both networks together to this; None: not at all.
            normalize_advantages: to mean 0 and standard deviation 1 in each rollout.
            clip_values: how far a value may move from the old one in an update, in scaled rewards; None: any distance.
            target_kl: stop after the epoch in which the policy got further than this (nats) from the one before the
                update; None: never.
            reward_scale: rewards are multiplied with this before they are learnt from.
        """
        for name, value in {"num_epochs": num_epochs, "batch_size": batch_size}.items():
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        for name, bound in {"clip_values": clip_values, "target_kl": target_kl}.items():
            if bound is not None and bound <= 0:
                raise ValueError(f"{name} must be above 0, or None, got {bound}")
        self.set_up_actor_critic(
            actor,
            critic,
            lr=lr,
            gamma=gamma,
            entropy_coeff=entropy_coeff,
            gae_lambda=gae_lambda,
            value_coeff=value_coeff,
            max_grad_norm=max_grad_norm,
            normalize_advantages=normalize_advantages,
            reward_scale=reward_scale,
        )
        self.clip_ratio = as_schedule(clip_ratio)
        self.num_epochs = num_epochs
        self.batch_size = batch_size
        self.clip_values = clip_values
        self.target_kl = target_kl

    def learn(self, batch: Any) -> dict[str, float]:
        """Epochs of minibatch updates on a rollout [T, N, ...]."""
        samples = self.collect(batch)
        clip_ratio = self.clip_ratio(self.env_steps)
        for epoch in range(1, self.num_epochs + 1):
            for minibatch in samples.minibatches(self.batch_size):
                self.optimize("actor-critic", self.loss(minibatch, clip_ratio), self.max_grad_norm)
            if self.target_kl is not None and epoch < self.num_epochs:
                log_probs, _ = self._log_probs_and_entropy(samples.states, samples.actions)
                if kl_divergence(log_probs, samples.log_probs) > self.target_kl:
                    break
        return {**self._diagnose(samples, clip_ratio), "policy/epochs": float(epoch), "policy/clip_ratio": clip_ratio}

    def loss(self, minibatch: Samples, clip_ratio: float) -> Tensor:
        """Policy, value and entropy loss together (Schulman et al. 2017, eq. 9, negated)."""
        policy = self.actor.get_distribution(minibatch.states)
        log_probs = policy.log_prob(minibatch.actions)
        loss = ppo_policy_loss(log_probs, minibatch.log_probs, minibatch.advantages, clip_ratio)
        if self.entropy_coeff:
            loss = loss - self.entropy_coeff * policy.entropy().mean()
        values = self.value(minibatch.states)
        if self.clip_values is None:
            return loss + self.value_coeff * value_loss(values, minibatch.returns)
        return loss + self.value_coeff * clipped_value_loss(
            values, minibatch.values, minibatch.returns, self.clip_values
        )

    @torch.no_grad()
    def collect(self, batch: Any) -> Samples:
        """What is learnt from in a rollout [T, N, ...]: computed once, before the first gradient step."""
        flat = batch.flatten()
        log_probs, _ = self._log_probs_and_entropy(flat.states, flat.actions)
        values = self.value(flat.states)
        advantages = self.advantages(batch, values.view_as(batch.rewards)).flatten()
        returns = advantages + values
        if self.normalize_advantages:
            advantages = normalized(advantages)
        return Samples(flat.states, flat.actions, log_probs, values, advantages, returns)

    @torch.no_grad()
    def _log_probs_and_entropy(self, states: Tensor, actions: Tensor) -> tuple[Tensor, Tensor]:
        """Of the policy as it is now, each [B]."""
        parts = []
        for some_states, some_actions in zip(states.split(CHUNK), actions.split(CHUNK), strict=True):
            policy = self.actor.get_distribution(some_states)
            parts.append((policy.log_prob(some_actions), policy.entropy()))
        log_probs, entropy = map(torch.cat, zip(*parts, strict=True))
        return log_probs, entropy

    @torch.no_grad()
    def _diagnose(self, samples: Samples, clip_ratio: float) -> dict[str, float]:
        """How far the update went, and how good the critic was before it."""
        log_probs, entropy = self._log_probs_and_entropy(samples.states, samples.actions)
        ratio = (log_probs - samples.log_probs).exp()
        metrics = {
            "policy/loss": ppo_policy_loss(log_probs, samples.log_probs, samples.advantages, clip_ratio),
            "policy/entropy": entropy.mean(),
            "policy/kl": kl_divergence(log_probs, samples.log_probs),
            "policy/clip_fraction": ((ratio - 1).abs() > clip_ratio).float().mean(),
            "value/loss": value_loss(samples.values, samples.returns),
            "value/mean": samples.values.mean(),
            "value/explained_variance": explained_variance(samples.values, samples.returns),
        }
        return dict(zip(metrics, torch.stack(list(metrics.values())).tolist(), strict=True))


def kl_divergence(log_probs: Tensor, old_log_probs: Tensor) -> Tensor:
    """KL(old || new) in nats, estimated from actions of the old policy without bias and never below 0.

    It is the mean of r - 1 - log r, since that of the ratio r is 1 (Schulman 2020, "Approximating KL divergence", k3).

    Args:
        log_probs: float32 [B].
        old_log_probs: float32 [B].
    """
    log_ratio = log_probs - old_log_probs
    return (log_ratio.expm1() - log_ratio).mean()
