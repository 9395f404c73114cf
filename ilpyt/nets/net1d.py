"""Multi-layer perceptrons for states that are vectors."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ilpyt.nets.base_net import MLP, BaseNetwork, RunningNorm


class Net1D(BaseNetwork):
    """A multi-layer perceptron over a state vector and, if it takes actions, the action beside it."""

    def initialize(
        self,
        input_shape: tuple[int, ...],
        output_shape: int,
        *,
        action_type: str | None = None,
        action_encoder: nn.Module | None = None,
        action_size: int = 0,
        activation: str = "relu",
        hidden_sizes: Sequence[int] = (128, 128),
        normalize: bool = False,
        log_std: float = 0.0,
        noise_correlation: float = 0.0,
    ) -> None:
        """Make the layers.

        Args:
            input_shape: of a state.
            output_shape: number of outputs.
            action_type: see `BaseNetwork.set_head`.
            log_std: initial logarithm of the standard deviation of continuous actions, in their units.
            noise_correlation: of the noise that actions are sampled by, from one env step to the next, 0..1; see
                `BaseNetwork.set_head`.
            action_encoder: turns actions into vectors of `action_size` numbers, which are a second input; None: no such
                input.
            activation: 'relu' or 'tanh'.
            hidden_sizes: widths of the hidden layers; none at all makes the network linear.
            normalize: shift and scale states by their running mean and variance, which `observe` updates.
        """
        self.normalizer = RunningNorm(input_shape) if normalize else None
        self.action_encoder = action_encoder
        self.takes_actions = action_encoder is not None
        self.layers = MLP([math.prod(input_shape) + action_size, *hidden_sizes, output_shape], activation)
        self.set_head(action_type, output_shape, log_std, noise_correlation)

    def forward(self, x: Tensor, a: Tensor | None = None) -> Tensor:
        """Outputs float32 [B, output_shape] for states `x` [B, *obs] and actions `a` [B] or [B, A]."""
        return self.decode(self.encode(x, a))

    def encode(self, x: Tensor, a: Tensor | None = None) -> list[Tensor]:
        """One vector [B, size] of states float32 [B, *obs], normalised, and actions [B] or [B, A]."""
        if self.normalizer is not None:
            x = self.normalizer(x)
        if x.dim() > 2:
            x = x.flatten(1)
        if self.action_encoder is not None:
            x = torch.cat([x, self.action_encoder(a)], dim=1)
        return [x]

    def decode(self, inputs: list[Tensor]) -> Tensor:
        """Outputs float32 [B, output_shape] for what `encode` gave."""
        return self.layers(inputs[0])
