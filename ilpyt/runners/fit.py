"""Whether demonstrations could come from an environment."""

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ilpyt.utils.errors import DataError

if TYPE_CHECKING:
    from ilpyt.envs import VecEnv
    from ilpyt.runners.experiences import Experiences


def fitted_fields(experiences: "Experiences", env: "VecEnv", source: str) -> dict[str, Tensor]:
    """`states` and `actions` as the environment has them; see `Experiences.fit_to`."""
    if not len(experiences):
        raise DataError(f"{source}: no transitions")
    states, actions = experiences.states, experiences.actions
    if env.type == "discrete" and actions.dim() == 2 and actions.shape[1] == 1:
        actions = actions[:, 0]
    name = env.description["env_id"]
    for what, tensor, expected in (
        ("a state", states, env.observation_shape),
        ("an action", actions, env.action_shape),
    ):
        if tuple(tensor.shape[1:]) != expected:
            origin = f" ({experiences.metadata['env_id']})" if "env_id" in experiences.metadata else ""
            raise DataError(
                f"{source}: {what} has shape {list(tensor.shape[1:])}, in {name} it has {list(expected)}; these "
                f"are demonstrations of another environment{origin}"
            )
    for what, tensor in (("states", states), ("actions", actions), ("rewards", experiences.rewards)):
        row = first_not_finite(tensor)
        if row is not None:
            where = step_of(experiences, row)
            raise DataError(f"{source}: {what} {where} hold nan or infinity: {tensor[row].tolist()}")
    if env.observation_dtype == np.uint8 and states.dtype != torch.uint8:
        if not torch.equal(states, states.round().clamp(0, 255)):
            raise DataError(f"{source}: states are {states.dtype}; {name} has images of whole numbers in 0..255")
        states = states.to(torch.uint8)
    return {"states": states, "actions": _fitted_actions(experiences, actions, env, source)}


def _fitted_actions(experiences: "Experiences", actions: Tensor, env: "VecEnv", source: str) -> Tensor:
    name = env.description["env_id"]
    if env.type == "discrete" and actions.is_floating_point():
        fractional = torch.nonzero(actions != actions.round())
        if len(fractional):
            row = int(fractional[0, 0])
            where = step_of(experiences, row)
            raise DataError(f"{source}: the action {where} is {actions[row].item()}; {name} has whole numbers")
        actions = actions.long()
    invalid = env.find_invalid_action(actions.cpu().numpy())
    if invalid is not None:
        raise DataError(
            f"{source}: the action {step_of(experiences, invalid)} is {actions[invalid].tolist()}, out of range for "
            f"{name} ({env.action_space})"
        )
    return actions.float() if env.type == "continuous" else actions


def first_not_finite(tensor: Tensor) -> int | None:
    """The first row that holds nan or an infinity."""
    if not tensor.is_floating_point() or torch.isfinite(tensor).all():
        return None
    return int(torch.nonzero(~torch.isfinite(tensor))[0, 0])


def step_of(experiences: "Experiences", row: int) -> str:
    """In words, the episode and step that a transition is."""
    episode, (start, _) = next((i, b) for i, b in enumerate(experiences.bounds()) if b[1] > row)
    return f"of episode {episode}, step {row - start}"
