"""`FeatureMap`: what of states and actions a linear reward can see."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ilpyt.nets.base_net import RunningNorm
from ilpyt.nets.choose import encode_actions

if TYPE_CHECKING:
    from ilpyt.envs import VecEnv


class FeatureMap(nn.Module):
    """phi(s, a), for rewards w . phi(s, a).

    Attributes:
        num_features: size of phi.
    """

    def __init__(
        self,
        env: "VecEnv",
        kind: str = "fourier",
        *,
        with_actions: bool = True,
        normalize: bool = True,
        num_features: int = 256,
        bandwidth: float = 1.0,
    ) -> None:
        """Choose the features. With x the state, flat, and the action beside it (discrete ones as a one-hot vector):

        - 'identity': x.
        - 'sigmoid': 1 / (1 + exp(-x)), as in the 2021 release (which took states only, as they were).
        - 'quadratic': 1, x, and all products of two elements of x: rewards may have an optimum in the middle.
        - 'fourier': 1, and random cosines; with many of them, rewards are smooth functions of any form (Rahimi & Recht
          2007, for a Gaussian kernel).

        Args:
            env: the vectorized environment.
            kind: see above.
            with_actions: False: of the state only.
            normalize: shift and scale states by the mean and variance of those that `observe` has seen.
            num_features: of 'fourier'.
            bandwidth: of 'fourier': over what distance rewards may change, in units of sqrt(size of x), which is about
                how far apart two states are if they are normalised.
        """
        super().__init__()
        size = math.prod(env.observation_shape)
        self.normalizer = RunningNorm((size,)) if normalize else None
        self.action_encoder = encode_actions(env) if with_actions else None
        size += env.num_actions if with_actions else 0
        kinds: dict[str, tuple[int, Callable[[Tensor], Tensor]]] = {
            "identity": (size, lambda x: x),
            "sigmoid": (size, torch.sigmoid),
            "quadratic": (1 + size + size * (size + 1) // 2, _quadratic),
            "fourier": (num_features, self._fourier),
        }
        if kind not in kinds:
            raise ValueError(f"features must be one of {', '.join(map(repr, kinds))}, got {kind!r}")
        if kind == "fourier" and (num_features < 2 or bandwidth <= 0):
            raise ValueError(f"it takes num_features >= 2 and bandwidth > 0, got {num_features} and {bandwidth}")
        self.num_features, self._map = kinds[kind]
        self.kind = kind
        self.bandwidth = bandwidth
        if kind == "fourier":
            self.register_buffer("frequencies", torch.randn(size, num_features - 1) / (bandwidth * math.sqrt(size)))
            self.register_buffer("phases", 2 * math.pi * torch.rand(num_features - 1))

    frequencies: Tensor
    phases: Tensor

    def extra_repr(self) -> str:
        """What it says of itself when printed."""
        return f"{self.kind}, num_features={self.num_features}, bandwidth={self.bandwidth}"

    def observe(self, states: Tensor) -> None:
        """Normalise by states [B, *obs] from now on, and by those seen before."""
        if self.normalizer is not None:
            self.normalizer.update(states.flatten(1).float())

    def forward(self, states: Tensor, actions: Tensor) -> Tensor:
        """phi, float32 [B, num_features], for states [B, *obs] and actions [B] or [B, A]."""
        x = states.flatten(1).float()
        if self.normalizer is not None:
            x = self.normalizer(x)
        if self.action_encoder is not None:
            x = torch.cat([x, self.action_encoder(actions)], dim=1)
        return self._map(x)

    def _fourier(self, x: Tensor) -> Tensor:
        cosines = math.sqrt(2 / len(self.phases)) * torch.cos(x @ self.frequencies + self.phases)
        return torch.cat([torch.ones_like(x[:, :1]), cosines], dim=1)


def _quadratic(x: Tensor) -> Tensor:
    row, column = torch.triu_indices(x.shape[1], x.shape[1], device=x.device)
    return torch.cat([torch.ones_like(x[:, :1]), x, x[:, row] * x[:, column]], dim=1)
