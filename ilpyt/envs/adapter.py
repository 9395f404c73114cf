"""Any environment of the Gym family, seen as a gymnasium environment with plain arrays for spaces.

After `adapt`, `reset(seed=...)` returns `(observation, info)`, `step(action)` returns five values, the observation
space is a Box of one dimension or an image (height, width, channels), and the action space is `Discrete(n)` counted
from 0 or a one-dimensional Box.
"""

import inspect
from collections.abc import Callable, Iterator
from importlib.metadata import version
from typing import Any, cast

import gymnasium
from gymnasium import spaces
from gymnasium.wrappers import TransformAction, TransformObservation

from ilpyt.envs.layout import plain_actions, plain_observations
from ilpyt.utils.errors import EnvError


def adapt(env: Any) -> gymnasium.Env:
    """Wrap `env` as far as it needs it, so that the rest of ilpyt meets one kind of environment.

    Args:
        env: an environment of gymnasium, of gym 0.26, of an older gym, or any object with `reset`, `step`,
            `observation_space` and `action_space`.

    Raises:
        EnvError: a space that ilpyt can't learn from, with what could be done about it.
    """
    adapted = gymnasium_style(env)
    _, name = _origin(adapted)
    actions = plain_actions(adapted.action_space, name)
    if not actions.takes_float32:
        adapted = TransformAction(adapted, actions.from_plain, actions.space)
    observations = plain_observations(adapted.observation_space, name)
    if not observations.changes_nothing:
        adapted = TransformObservation(adapted, observations.to_plain, observations.space)
    return adapted


class GymnasiumStyle(gymnasium.Env):
    """An environment of the Gym family behind gymnasium's interface.

    It goes by behaviour, not by version: `step` may return 4 or 5 values (`TimeLimit.truncated` in a 4-tuple's info
    is honoured), `reset` an observation with or without info; the seed goes to `reset(seed=)` or to `seed()`,
    whichever is there.
    """

    def __init__(self, env: Any) -> None:
        self.env = env
        self.observation_space = convert_space(env.observation_space)
        self.action_space = convert_space(env.action_space)
        self.metadata = getattr(env, "metadata", None) or {}
        self.spec = getattr(env, "spec", None)
        self._reset_arguments = _parameters(env.reset)
        self._old_render = "mode" in _parameters(getattr(env, "render", lambda: None))
        self.render_mode = "rgb_array" if self._old_render else getattr(env, "render_mode", None)

    def reset(self, *, seed: int | None = None, options: dict | None = None) -> tuple[Any, dict]:
        """Start an episode; `(observation, info)`."""
        given = {"seed": seed, "options": options}
        known = {k: v for k, v in given.items() if v is not None and self._reset_arguments & {k, "**"}}
        if seed is not None and "seed" not in known and hasattr(self.env, "seed"):
            self.env.seed(seed)
        super().reset(seed=seed)  # for wrappers, which draw from `np_random`
        result = self.env.reset(**known)
        if isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], dict):
            return cast(tuple[Any, dict], result)
        return result, {}

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict]:
        """One environment step; `(observation, reward, terminated, truncated, info)`."""
        result = self.env.step(action)
        if len(result) == 5:
            return cast(tuple[Any, Any, bool, bool, dict], result)
        observation, reward, done, info = result
        truncated = bool(done) and bool(info.get("TimeLimit.truncated", False))
        return observation, reward, bool(done) and not truncated, truncated, info

    def render(self) -> Any:
        """The current frame, as the environment renders it."""
        return self.env.render(mode="rgb_array") if self._old_render else self.env.render()

    def close(self) -> None:
        """Close the environment, if it has something to close."""
        getattr(self.env, "close", lambda: None)()

    def __getattr__(self, name: str) -> Any:
        """Whatever else is asked for is the environment's."""
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.env, name)

    @property
    def unwrapped(self) -> Any:
        """The environment itself."""
        return getattr(self.env, "unwrapped", self.env)


def convert_space(space: Any) -> spaces.Space:
    """The gymnasium space equal to a space of gym; gymnasium's own are returned as they are."""
    if isinstance(space, spaces.Space):
        return space
    converters: dict[str, Callable[[Any], spaces.Space]] = {
        "Box": lambda s: spaces.Box(s.low, s.high, s.shape, s.dtype),
        "Discrete": lambda s: spaces.Discrete(int(s.n), start=int(getattr(s, "start", 0))),
        "MultiDiscrete": lambda s: spaces.MultiDiscrete(s.nvec),
        "MultiBinary": lambda s: spaces.MultiBinary(s.n),
        "Tuple": lambda s: spaces.Tuple([convert_space(x) for x in s.spaces]),
        "Dict": lambda s: spaces.Dict([(k, convert_space(x)) for k, x in s.spaces.items()]),  # in this order
    }
    for cls in type(space).__mro__:
        if cls.__name__ in converters:
            return converters[cls.__name__](space)
    raise EnvError(f"{space!r} is not a space of gym or gymnasium that ilpyt knows ({', '.join(converters)})")


def describe(env: Any) -> dict[str, str]:
    """Where an environment comes from: its id and, if a package's `make` made it, the package and its version."""
    package, env_id = _origin(env)
    if package == "custom":
        return {"env_id": env_id, "backend": package}
    return {"env_id": env_id, "backend": package, "backend_version": version(package)}


def _origin(env: Any) -> tuple[str, str]:
    """The package whose `make` made an environment, and its id; or 'custom' and the name of its class."""
    # The specification of the innermost: gymnasium's wrappers make one of their own, which fails on gym's.
    spec: Any = getattr(getattr(env, "unwrapped", env), "spec", None)
    package = type(spec).__module__.split(".")[0]
    if package not in ("gym", "gymnasium"):
        return "custom", type(getattr(env, "unwrapped", env)).__name__
    return package, spec.id


def _layers(env: Any) -> Iterator[Any]:
    """`env` and the environments it wraps, from the outside in."""
    yield env
    while isinstance(env, GymnasiumStyle) or any(
        cls.__name__ == "Wrapper" and cls.__module__ in ("gym.core", "gymnasium.core") for cls in type(env).__mro__
    ):
        env = env.env
        yield env


def gymnasium_style(env: Any) -> gymnasium.Env:
    """`env` with gymnasium's interface outside, and inside, where old environments sit under new wrappers."""
    *wrappers, core = _layers(env)
    if not wrappers:
        return core if _is_gymnasiums(core) else GymnasiumStyle(core)
    parameters = _parameters(core.reset)
    if isinstance(wrappers[-1], GymnasiumStyle):
        return env if isinstance(env, gymnasium.Env) else GymnasiumStyle(env)
    if not isinstance(core, gymnasium.Env) or "seed" not in parameters or "return_info" in parameters:
        wrappers[-1].env = GymnasiumStyle(core)
    return env if isinstance(env, gymnasium.Env) else GymnasiumStyle(env)


def _is_gymnasiums(env: Any) -> bool:
    """Whether an environment is gymnasium's own, so that there's no need to look at what it returns."""
    return type(env).__module__.split(".")[0] == "gymnasium"


def _parameters(function: Callable) -> set[str]:
    """The names of a function's parameters; `**` if it takes any."""
    parameters = inspect.signature(function).parameters.values()
    return {"**" if p.kind is p.VAR_KEYWORD else p.name for p in parameters}
