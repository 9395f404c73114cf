"""`A2CAgent`: advantage actor-critic, one update a rollout (Mnih et al. 2016, synchronous)."""

from typing import Any

import torch
from torch import Tensor

from ilpyt.agents.rl_agent import ActorCriticAgent, explained_variance, normalized, value_loss
from ilpyt.nets.base_net import BaseNetwork
from ilpyt.utils.schedules import Schedule


def policy_gradient_loss(log_probs: Tensor, advantages: Tensor) -> Tensor:
    """Policy gradient objective, negated (Mnih et al. 2016, alg. S3). Both [B]; advantages carry no gradient."""
    return -(log_probs * advantages).mean()


class A2CAgent(ActorCriticAgent):
    """Learns once from each rollout, on-policy."""

    rollout_steps = 8

    def initialize(
        self,
        actor: BaseNetwork,
        critic: BaseNetwork,
        lr: float | Schedule = 7e-4,
        gamma: float = 0.99,
        entropy_coeff: float = 0.0,
        *,
        gae_lambda: float = 1.0,
        value_coeff: float = 0.5,
        max_grad_norm: float | None = 0.5,
        normalize_advantages: bool = False,
        reward_scale: float = 1.0,
    ) -> None:
        """Take a policy and a critic.

        Args:
            actor: the policy, as `choose_net(env)` makes it.
            critic: the value function, as `choose_net(env, output_shape=1)` makes it.
            lr: learning rate of Adam for both, or a schedule of it over env steps.
            gamma: discount per env step.
            entropy_coeff: weight of the policy's entropy (nats), which is maximised.
            gae_lambda: 1: n-step returns, as in the paper; less: GAE(lambda) (Schulman et al. 2016).
            value_coeff: weight of the critic's loss.
            max_grad_norm: clip the norm of the gradient of both networks together to this; None: not at all.
            normalize_advantages: to mean 0 and standard deviation 1 in each update.
            reward_scale: rewards are multiplied with this before they are learnt from.
        """
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

    def learn(self, batch: Any) -> dict[str, float]:
        """One gradient update on a rollout [T, N, ...]."""
        flat = batch.flatten()
        values = self.value(flat.states)
        old_values = values.detach()
        advantages = self.advantages(batch, old_values.view_as(batch.rewards)).flatten()
        returns = advantages + old_values
        if self.normalize_advantages:
            advantages = normalized(advantages)

        policy = self.actor.get_distribution(flat.states)
        policy_loss = policy_gradient_loss(policy.log_prob(flat.actions), advantages)
        entropy = policy.entropy().mean()
        critic_loss = value_loss(values, returns)
        loss = policy_loss - self.entropy_coeff * entropy + self.value_coeff * critic_loss
        self.optimize("actor-critic", loss, self.max_grad_norm)

        metrics = {
            "policy/loss": policy_loss,
            "policy/entropy": entropy,
            "value/loss": critic_loss,
            "value/mean": old_values.mean(),
            "value/explained_variance": explained_variance(old_values, returns),
        }
        return dict(zip(metrics, torch.stack([m.detach() for m in metrics.values()]).tolist(), strict=True))
