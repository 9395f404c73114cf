"""A VecEnv's environments as their package makes them: the spaces before `adapt`, and how to make one again."""

import warnings
from dataclasses import dataclass, replace
from typing import Any

import gymnasium
from gymnasium.envs.registration import EnvSpec

from ilpyt.envs.adapter import describe, gymnasium_style
from ilpyt.envs.layout import Layout, plain_actions, plain_observations
from ilpyt.envs.vec_env import VecEnv


@dataclass(frozen=True)
class Original:
    """One environment before `adapt`.

    Attributes:
        observations: how its observations are laid out.
        actions: how its actions are.
        spec: from which gymnasium, anywhere, makes the same environment; None: there is no such thing.
        why_no_spec: in that case.
    """

    observations: Layout
    actions: Layout
    spec: EnvSpec | None
    why_no_spec: str = ""


def original(env: VecEnv) -> Original:
    """Make one more of the environments of a VecEnv, look at it, and close it."""
    name = env.description["env_id"]
    made = gymnasium_style(env.env_fns[0]())
    try:
        observations = plain_observations(made.observation_space, name)
        actions = plain_actions(made.action_space, name)
        backend = describe(made)["backend"]
        if backend != "gymnasium":
            made_by = "a function" if backend == "custom" else backend
            return Original(observations, actions, None, f"{name} is made by {made_by}, not by gymnasium")
        try:
            return Original(observations, actions, _recoverable_spec(made))
        except Exception as error:
            why = f"gymnasium can't make {name} from its specification: {str(error) or type(error).__name__}"
            return Original(observations, actions, None, why)
    finally:
        made.close()


def _recoverable_spec(env: gymnasium.Env) -> EnvSpec:
    """An environment's specification, as it is registered, after trying to make the environment from it.

    Raises:
        Exception: it can't be written down, or made, or what is made has other spaces.
    """
    spec: Any = env.spec
    kwargs = {name: value for name, value in spec.kwargs.items() if name != "render_mode"}
    checks = gymnasium.registry.get(spec.id, EnvSpec(spec.id))  # `build_env` leaves them out, at less cost
    spec = replace(
        spec, kwargs=kwargs, order_enforce=checks.order_enforce, disable_env_checker=checks.disable_env_checker
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*out of date.*")
        again = gymnasium.make(EnvSpec.from_json(spec.to_json()))
    try:
        for what in ("observation_space", "action_space"):
            ours, theirs = getattr(env, what), getattr(again, what)
            if ours != theirs:
                raise ValueError(f"its {what} would be {theirs}, not {ours}")
    finally:
        again.close()
    return spec
