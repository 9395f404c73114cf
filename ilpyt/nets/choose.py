"""`choose_net`: a network that fits an environment."""

import math
from typing import TYPE_CHECKING, Any

from torch import nn

from ilpyt.nets.base_net import BaseNetwork, Clip, OneHot
from ilpyt.nets.net1d import Net1D
from ilpyt.nets.net2d import Net2D

if TYPE_CHECKING:
    from ilpyt.envs import VecEnv


# What a network that judges what agents do, such as a discriminator, takes unless it is asked for something else.
JUDGING: dict[str, Any] = {"with_action_shape": True, "normalize": True}


def choose_net(
    env: "VecEnv",
    input_shape: int | tuple[int, ...] | None = None,
    output_shape: int | tuple[int, ...] | None = None,
    activation: str = "relu",
    with_action_shape: bool = False,
    *,
    with_next_state: bool = False,
    spectral_norm: bool = False,
    output_gain: float | None = None,
    **net_kwargs: Any,
) -> BaseNetwork:
    """A network for the environment's states: an MLP for vectors, a CNN for images.

    Args:
        env: the vectorized environment.
        input_shape: of a state; None: the environment's.
        output_shape: number of outputs, read as values (a critic, a discriminator); None: a policy over the
            environment's actions, whose outputs are logits (discrete) or means (continuous).
        activation: 'relu' or 'tanh'.
        with_action_shape: the network takes the action as a second input, within the environment's bounds.
        with_next_state: the network takes the next state beside the state.
        spectral_norm: keep the layers from becoming steep (`BaseNetwork.constrain_spectral_norm`).
        output_gain: start from orthogonal weights, with this gain in the output layer (`BaseNetwork.init_orthogonal`);
            None: from PyTorch's defaults.
        net_kwargs: go to `Net1D.initialize` or `Net2D.initialize`: `hidden_sizes`, `normalize`, `log_std`,
            `noise_correlation`.
    """
    shape = env.observation_shape if input_shape is None else _as_tuple(input_shape)
    if output_shape is None:
        net_kwargs["action_type"] = env.type
        outputs = env.num_actions
    else:
        outputs = math.prod(_as_tuple(output_shape))
    if with_action_shape:
        net_kwargs["action_encoder"] = encode_actions(env)
        net_kwargs["action_size"] = env.num_actions
    if with_next_state:
        shape = (*shape[:-1], 2 * shape[-1])
    net_class = Net2D if len(shape) == 3 else Net1D
    net = net_class(shape, outputs, activation=activation, **net_kwargs)
    if output_gain is not None:
        net.init_orthogonal(output_gain)
    if spectral_norm:
        net.constrain_spectral_norm()
    net.takes_next_states = with_next_state
    return net


def encode_actions(env: "VecEnv") -> nn.Module:
    """What makes vectors float32 [B, num_actions] of the environment's actions."""
    return OneHot(env.num_actions) if env.action_bounds is None else Clip(*env.action_bounds)


def _as_tuple(shape: int | tuple[int, ...]) -> tuple[int, ...]:
    return (shape,) if isinstance(shape, int) else tuple(shape)
