"""Distributions over actions behind one face: `sample`, `mode`, `log_prob`, `entropy`, `mode_error`.

Categorical and Normal differ in whether an action is a number or a vector; here both treat a whole action as one event,
so that log-probabilities and entropies are [B], whatever the action space. They do what `torch.distributions` does, in
a fraction of the calls, since a rollout makes one at every step.
"""

import abc
import math

import torch
import torch.nn.functional as F
from torch import Tensor


class Distribution(abc.ABC):
    """A batch of B distributions over actions."""

    @abc.abstractmethod
    def sample(self, noise: Tensor | None = None) -> Tensor:
        """An action of each, without gradient: int64 [B] or float32 [B, A].

        Args:
            noise: what makes it random, standard normal [B, K] or [B, A]; None: drawn anew. The action is distributed
                as it should be, but it depends on other actions as the noise does on other noise.
        """

    @abc.abstractmethod
    def mode(self) -> Tensor:
        """The likeliest action of each, shaped like `sample`'s."""

    @abc.abstractmethod
    def log_prob(self, actions: Tensor) -> Tensor:
        """Log-probability (density) of whole actions, [B]."""

    @abc.abstractmethod
    def entropy(self) -> Tensor:
        """Entropy in nats, [B]."""

    @abc.abstractmethod
    def mode_error(self, actions: Tensor) -> Tensor:
        """How far the mode is from actions, [B]: 0 or 1 for discrete ones, the squared distance for others."""


class Categorical(Distribution):
    """One of K actions, given unnormalised log-probabilities `logits` [B, K]."""

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits

    @property
    def log_probs(self) -> Tensor:
        """Log-probability of each action, [B, K]."""
        return F.log_softmax(self.logits, dim=-1)

    def sample(self, noise: Tensor | None = None) -> Tensor:
        """An action of each, int64 [B]."""
        with torch.no_grad():
            # Gumbel's trick: the argmax of logits + Gumbel noise is a sample of their softmax, and needs no
            # normalising. Minus the noise is the logarithm of an exponential variable, or of -log(a uniform one).
            if noise is None:
                exponential = torch.empty_like(self.logits).exponential_()
            else:
                exponential = -torch.special.log_ndtr(noise)
            return (self.logits - exponential.log_()).argmax(-1)

    def mode(self) -> Tensor:
        """The likeliest action of each, int64 [B]."""
        return self.logits.argmax(-1)

    def log_prob(self, actions: Tensor) -> Tensor:
        """Log-probability of actions int [B], as [B]."""
        return -F.cross_entropy(self.logits, actions.long(), reduction="none")

    def entropy(self) -> Tensor:
        """Entropy in nats, [B]."""
        log_probs = self.log_probs
        return -(log_probs.exp() * log_probs).sum(-1)

    def mode_error(self, actions: Tensor) -> Tensor:
        """1 where the likeliest action isn't the given one, else 0, [B]."""
        return (self.mode() != actions).float()


class DiagonalNormal(Distribution):
    """A Normal in each action dimension, independent of the others; `mean` and `log_std` broadcast to [B, A]."""

    def __init__(self, mean: Tensor, log_std: Tensor) -> None:
        self.mean = mean
        self.log_std = log_std

    def sample(self, noise: Tensor | None = None) -> Tensor:
        """An action of each, float32 [B, A]; not clipped to any bounds."""
        with torch.no_grad():
            return self.mean + self.log_std.exp() * (torch.randn_like(self.mean) if noise is None else noise)

    def mode(self) -> Tensor:
        """The mean, float32 [B, A]."""
        return self.mean

    def log_prob(self, actions: Tensor) -> Tensor:
        """Log-density of actions float [B, A], summed over dimensions: [B]."""
        z = (actions - self.mean) * (-self.log_std).exp()
        return (-0.5 * z**2 - self.log_std - 0.5 * math.log(2 * math.pi)).sum(-1)

    def entropy(self) -> Tensor:
        """Entropy in nats, summed over dimensions: [B]."""
        return (self.log_std + 0.5 * math.log(2 * math.pi * math.e)).expand_as(self.mean).sum(-1)

    def mode_error(self, actions: Tensor) -> Tensor:
        """Squared distance of the mean from the action, in the actions' units squared, [B]."""
        return (self.mean - actions).square().sum(-1)
