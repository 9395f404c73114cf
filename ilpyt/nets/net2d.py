"""Convolutional networks for states that are images."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ilpyt.nets.base_net import MLP, BaseNetwork, activation_layer


class Net2D(BaseNetwork):
    """The convolutions of Mnih et al. 2015 (Methods, "Model architecture"), then a multi-layer perceptron.

    Images come in as the environment gives them, uint8 [B, H, W, C]; they become channels-first floats in 0..1 inside.
    Small images, for which the paper's kernels are too large, get kernels that fit.
    """

    def initialize(
        self,
        input_shape: tuple[int, ...],
        output_shape: int,
        *,
        action_type: str | None = None,
        action_encoder: nn.Module | None = None,
        action_size: int = 0,
        activation: str = "relu",
        hidden_sizes: Sequence[int] = (512,),
        normalize: bool = False,
        log_std: float = 0.0,
        noise_correlation: float = 0.0,
    ) -> None:
        """Make the layers; for the parameters see `Net1D.initialize`.

        `normalize` changes nothing: pixels are scaled to 0..1 in any case, and need no statistics.
        """
        height, width, channels = input_shape
        layers: list[nn.Module] = []
        for filters, kernel, stride in ((32, 8, 4), (64, 4, 2), (64, 3, 1)):
            kernel, stride = min(kernel, height, width), min(stride, height, width)
            layers += [nn.Conv2d(channels, filters, kernel, stride), activation_layer(activation)]
            channels, height, width = filters, (height - kernel) // stride + 1, (width - kernel) // stride + 1
        self.convolutions = nn.Sequential(*layers, nn.Flatten())
        self.action_encoder = action_encoder
        self.takes_actions = action_encoder is not None
        self.layers = MLP([channels * height * width + action_size, *hidden_sizes, output_shape], activation)
        self.set_head(action_type, output_shape, log_std, noise_correlation)

    def forward(self, x: Tensor, a: Tensor | None = None) -> Tensor:
        """Outputs float32 [B, output_shape] for states `x` [B, *obs] and actions `a` [B] or [B, A]."""
        return self.decode(self.encode(x, a))

    def encode(self, x: Tensor, a: Tensor | None = None) -> list[Tensor]:
        """Images float32 [B, C, H, W] in 0..1 of uint8 [B, H, W, C], and encoded actions [B, size] if it takes any."""
        x = x.permute(0, 3, 1, 2).float() / 255 if x.dtype == torch.uint8 else x.permute(0, 3, 1, 2)
        return [x] if self.action_encoder is None else [x, self.action_encoder(a)]

    def decode(self, inputs: list[Tensor]) -> Tensor:
        """Outputs float32 [B, output_shape] for what `encode` gave."""
        images, *actions = inputs
        return self.layers(torch.cat([self.convolutions(images), *actions], dim=1))
