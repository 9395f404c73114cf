"""What every network of ilpyt is: a module that maps states (and actions) to outputs, and outputs to actions."""

import abc
import math
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ilpyt.nets.distributions import Categorical, DiagonalNormal, Distribution

ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh}
LOG_STD_BOUNDS = (-5.0, 2.0)  # of a Normal head, so that no density becomes infinite


class BaseNetwork(nn.Module, abc.ABC):
    """A network with one linear output layer, read as logits, as means, or as plain values.

    Extend it by `initialize`, which makes the layers, and `forward`. The constructor passes its arguments on to
    `initialize`.
    """

    action_type: str | None = None
    num_outputs: int
    noise_correlation: float = 0.0
    takes_actions: bool = False  # as a second input
    takes_next_states: bool = False  # beside the states, in the last dimension
    _noise: Tensor | None = None  # of the last call of `get_action`

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__()
        self.initialize(*args, **kwargs)

    @abc.abstractmethod
    def initialize(self, *args: Any, **kwargs: Any) -> None:
        """Make the layers."""

    @abc.abstractmethod
    def forward(self, x: Tensor, a: Tensor | None = None) -> Tensor:
        """Outputs [B, output_shape] for states `x` [B, *obs] and, where the network takes them, actions `a`."""

    def encode(self, x: Tensor, a: Tensor | None = None) -> list[Tensor]:
        """The first half of `forward`: inputs as the layers take them, float32 [B, ...] each.

        A gradient penalty is taken with respect to these, so a network that is to have one on discrete actions or
        images says here how it makes numbers of them.
        """
        return [x] if a is None else [x, a]

    def decode(self, inputs: list[Tensor]) -> Tensor:
        """The second half of `forward`: outputs [B, output_shape] for what `encode` gave."""
        return self(*inputs)

    def encode_transitions(self, transitions: Any) -> list[Tensor]:
        """What `encode` gives for as much as the network takes of B transitions.

        Args:
            transitions: has `states` [B, *obs], and `actions` and `next_states` if the network takes them.
        """
        return self.encode(self.states_of(transitions), transitions.actions if self.takes_actions else None)

    def on_transitions(self, transitions: Any) -> Tensor:
        """The value of each of B transitions, [B], for a network with one output; see `encode_transitions`."""
        return self.decode(self.encode_transitions(transitions)).squeeze(-1)

    def states_of(self, transitions: Any) -> Tensor:
        """The states of transitions, [B, *obs], the next ones beside them (in the last dimension) if it takes any."""
        if self.takes_next_states:
            return torch.cat([transitions.states, transitions.next_states], dim=-1)
        return transitions.states

    def set_head(
        self, action_type: str | None, num_outputs: int, log_std: float = 0.0, noise_correlation: float = 0.0
    ) -> None:
        """Say how outputs are read.

        Args:
            action_type: 'discrete' (logits of a Categorical), 'continuous' (means of a diagonal Normal whose standard
                deviations are parameters of their own) or None (values).
            num_outputs: width of the output layer.
            log_std: initial logarithm of the standard deviation, in the units of the actions.
            noise_correlation: correlation, 0..1, of the noise that `get_action` samples by from one call to the next,
                which are an env step apart. Each action is distributed as without, but what is explored has a
                direction: it takes this to reach a goal that is far away (Hollenstein et al. 2024, "Colored noise in
                PPO", who find that the policy gradient bears it). 1 - 1/k keeps a direction for about k steps.
        """
        if action_type not in ("discrete", "continuous", None):
            raise ValueError(f"action_type must be 'discrete', 'continuous' or None, got {action_type!r}")
        low, high = LOG_STD_BOUNDS
        if action_type == "continuous" and not low <= log_std <= high:
            raise ValueError(
                f"log_std must be in {low:g}..{high:g}, got {log_std}; gymnasium.wrappers.RescaleAction gives actions "
                "bounds that a policy of that deviation fits"
            )
        if not 0 <= noise_correlation < 1:
            raise ValueError(f"noise_correlation must be at least 0 and less than 1, got {noise_correlation}")
        self.action_type = action_type
        self.num_outputs = num_outputs
        self.noise_correlation = noise_correlation
        if action_type == "continuous":
            self.log_std = nn.Parameter(torch.full((num_outputs,), float(log_std)))

    def get_distribution(self, x: Tensor) -> Distribution:
        """The policy's distribution over actions in states `x` [B, *obs]."""
        if self.action_type == "discrete":
            return Categorical(self(x))
        if self.action_type == "continuous":
            with torch.no_grad():  # the parameter itself: outside the bounds of a clamp it would have no gradient
                self.log_std.clamp_(*LOG_STD_BOUNDS)
            return DiagonalNormal(self(x), self.log_std)
        raise TypeError(f"this {type(self).__name__} gives values, not actions: it was made with an output_shape")

    def get_action(self, x: Tensor, deterministic: bool = False) -> tuple[Distribution, Tensor]:
        """The distribution over actions in states `x` [B, *obs], and an action of each.

        Args:
            deterministic: the mode instead of a sample.

        Returns:
            The distribution, and the actions: int64 [B] or float32 [B, A].
        """
        distribution = self.get_distribution(x)
        if deterministic:
            return distribution, distribution.mode()
        return distribution, distribution.sample(self._next_noise(x) if self.noise_correlation else None)

    def reset_noise(self) -> None:
        """Forget the noise that the next one would be correlated with."""
        self._noise = None

    def _next_noise(self, x: Tensor) -> Tensor:
        """Standard normal noise [B, num_outputs], correlated with that of the last call."""
        noise = torch.randn(len(x), self.num_outputs, device=x.device)
        if self._noise is not None and self._noise.shape == noise.shape and self._noise.device == noise.device:
            noise = self.noise_correlation * self._noise + math.sqrt(1 - self.noise_correlation**2) * noise
        self._noise = noise
        return noise

    def init_orthogonal(self, output_gain: float) -> None:
        """Start from orthogonal weights and biases of 0 (Saxe et al. 2014).

        Small outputs make a policy that tries everything at first (Andrychowicz et al. 2021, section 3.2).

        Args:
            output_gain: of the last layer; the others have the square root of 2.
        """
        layers = [module for module in self.modules() if isinstance(module, nn.Linear | nn.Conv2d)]
        for layer in layers:
            nn.init.orthogonal_(layer.weight, output_gain if layer is layers[-1] else math.sqrt(2))
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)

    def constrain_spectral_norm(self) -> None:
        """Keep the largest singular value of each layer at 1 (Miyato et al. 2018), so that outputs can't be steep."""
        for module in list(self.modules()):
            if isinstance(module, nn.Linear | nn.Conv2d):
                nn.utils.parametrizations.spectral_norm(module)

    def observe(self, states: Tensor) -> None:
        """Update the input's running statistics, if the network normalises its input, with states [B, *obs]."""
        for module in self.children():
            if isinstance(module, RunningNorm):
                module.update(states)


class RunningNorm(nn.Module):
    """Shift and scale inputs to mean 0 and variance 1, by the statistics of all that `update` has seen.

    The statistics are buffers: they are saved, loaded and moved with the weights. `forward` never changes them.
    """

    mean: Tensor
    variance: Tensor
    count: Tensor

    def __init__(self, shape: tuple[int, ...], clip: float = 10.0, epsilon: float = 1e-8) -> None:
        """Normalise inputs [B, *shape].

        Args:
            clip: outputs lie in -clip..clip.
            epsilon: added to the variance, in the input's units squared; an input that never varies maps to 0.
        """
        super().__init__()
        self.clip = clip
        self.epsilon = epsilon
        self.register_buffer("mean", torch.zeros(shape))
        self.register_buffer("variance", torch.ones(shape))
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))

    @torch.no_grad()
    def update(self, x: Tensor) -> None:
        """Take in a batch [B, *shape] (Chan et al. 1979: combining the moments of two samples)."""
        x = x.double()
        old, new = self.count, len(x)
        delta = x.mean(0) - self.mean.double()
        squares = self.variance.double() * old + x.var(0, correction=0) * new + delta**2 * old * new / (old + new)
        self.mean += (delta * new / (old + new)).float()
        self.variance.copy_(squares / (old + new))
        self.count += new

    def forward(self, x: Tensor) -> Tensor:
        """Normalised `x`, float32 [B, *shape]."""
        return ((x - self.mean) * (self.variance + self.epsilon).rsqrt()).clamp(-self.clip, self.clip)


class OneHot(nn.Module):
    """Discrete actions int [B] as vectors float32 [B, num_actions]."""

    def __init__(self, num_actions: int) -> None:
        super().__init__()
        self.num_actions = num_actions

    def forward(self, actions: Tensor) -> Tensor:
        """Vectors with a 1 at each action."""
        return F.one_hot(actions.long(), self.num_actions).float()


class Clip(nn.Module):
    """Continuous actions float [B, A] as an environment with these bounds takes them."""

    low: Tensor
    high: Tensor

    def __init__(self, low: Any, high: Any) -> None:
        super().__init__()
        self.register_buffer("low", torch.as_tensor(low, dtype=torch.float32))
        self.register_buffer("high", torch.as_tensor(high, dtype=torch.float32))

    def forward(self, actions: Tensor) -> Tensor:
        """The nearest actions within the bounds."""
        return actions.clamp(self.low, self.high)


def activation_layer(name: str) -> nn.Module:
    """A layer of this activation."""
    if name not in ACTIVATIONS:
        raise ValueError(f"activation must be one of {', '.join(map(repr, ACTIVATIONS))}, got {name!r}")
    return ACTIVATIONS[name]()


class MLP(nn.Sequential):
    """Linear layers, with an activation between them and none at the end."""

    def __init__(self, sizes: list[int], activation: str) -> None:
        """Make layers of these sizes, input first."""
        layers: list[nn.Module] = []
        for width_in, width_out in pairwise(sizes):
            layers += [nn.Linear(width_in, width_out), activation_layer(activation)]
        super().__init__(*layers[:-1])

    def forward(self, x: Tensor) -> Tensor:
        """Outputs float32 [B, sizes[-1]] for inputs float32 [B, sizes[0]]."""
        # As nn.Sequential does, without what calling a module adds (hooks): it takes as long as a small layer's work.
        for layer in self._modules.values():
            x = layer.forward(x)
        return x
