"""`ImitationAgent`: a policy that learns to act as an expert did."""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ilpyt.agents.base_agent import BaseAgent
from ilpyt.nets.base_net import BaseNetwork
from ilpyt.nets.distributions import Distribution
from ilpyt.utils.flat_adam import FlatAdam

CHUNK = 4096  # transitions of one forward pass without gradient


class StateActions(NamedTuple):
    """States [B, *obs], the expert's actions in them [B] or [B, A], and the next states [B, *obs] where they matter."""

    states: Tensor
    actions: Tensor
    next_states: Tensor | None = None

    @staticmethod
    def of(transitions: Any) -> "StateActions":
        """Those of anything that has `states`, `actions` and `next_states`."""
        return StateActions(transitions.states, transitions.actions, transitions.next_states)

    def take(self, rows: slice | Tensor) -> "StateActions":
        """Some of them, by a slice or by indices."""
        following = None if self.next_states is None else self.next_states[rows]
        return StateActions(self.states[rows], self.actions[rows], following)


def behavioral_cloning_loss(policy: Distribution, expert_actions: Tensor) -> Tensor:
    """Mean negative log-likelihood of the expert's actions, in nats (Pomerleau 1989; Osa et al. 2018, eq. 3.1).

    Args:
        policy: of the learner, in the B states that the expert was in.
        expert_actions: int64 [B] or float32 [B, A].
    """
    return -policy.log_prob(expert_actions).mean()


class ImitationAgent(BaseAgent):
    """One policy network, trained by supervised learning; the agent of BC and DAgger."""

    def initialize(self, net: BaseNetwork, lr: float = 1e-3, *, max_grad_norm: float | None = None) -> None:
        """Take a policy network.

        Args:
            net: a policy, as `ilpyt.nets.choose_net(env)` makes it.
            lr: learning rate of Adam (Kingma & Ba 2015).
            max_grad_norm: clip the gradient's norm to this; None: not at all.
        """
        self.net = net
        self.nets = {"net": net}
        self.optimizers = {"net": FlatAdam(net.parameters(), lr=lr)}
        self.max_grad_norm = max_grad_norm

    def step(self, state: Tensor) -> np.ndarray:
        """Actions int64 [N] or float32 [N, A] for states [N, *obs]: sampled in training, the mode in testing."""
        with torch.inference_mode():
            _, action = self.net.get_action(state, deterministic=not self.training)
        return action.cpu().numpy()

    def loss(self, batch: Any) -> Tensor:
        """`behavioral_cloning_loss` on a batch with `states` [B, *obs] and the expert's `actions` [B, ...]."""
        return behavioral_cloning_loss(self.net.get_distribution(batch.states), batch.actions)

    @torch.inference_mode()
    def validate(self, batch: Any) -> dict[str, float]:
        """Loss, and error of the greedy policy (`Distribution.mode_error`), on a batch that isn't learnt from."""
        loss = error = 0.0
        for states, actions in zip(batch.states.split(CHUNK), batch.actions.split(CHUNK), strict=True):
            policy, share = self.net.get_distribution(states), len(states) / len(batch.states)
            loss += share * behavioral_cloning_loss(policy, actions).item()
            error += share * policy.mode_error(actions).mean().item()
        return {"validation_loss": loss, "validation_error": error}

    def update(self, batch: Any) -> dict[str, float]:
        """One gradient step on a batch with `states` [B, *obs] and the expert's `actions` [B, ...]."""
        return {"loss": self.optimize("net", self.loss(batch), self.max_grad_norm)}

    def train_epoch(self, states: Tensor, actions: Tensor, batch_size: int) -> dict[str, float]:
        """Update on minibatches of all states [M, *obs] and expert actions [M, ...], in random order; the mean loss."""
        losses = [
            self.update(StateActions(states[indices], actions[indices]))["loss"]
            for indices in torch.randperm(len(states)).to(states.device).split(batch_size)
        ]
        return {"loss": sum(losses) / len(losses)}
