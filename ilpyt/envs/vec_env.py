"""The contract of a vectorized environment, and the part of it that needs no knowledge of where environments run."""

import abc
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from gymnasium import spaces

from ilpyt.utils.errors import EnvError

Infos = dict[str, Any]
AnyVecEnv = TypeVar("AnyVecEnv", bound="VecEnv")


@dataclass
class StepArrays:
    """What one step of N environments takes and gives; each environment owns a row.

    Attributes:
        actions: int64 [N] or float32 [N, A].
        states: uint8 [N, H, W, C] for uint8 images, else float32 [N, *obs]; where an episode ended, the next one's
            first.
        final_states: like `states`; the last observation of an episode, valid where one ended.
        rewards: float32 [N].
        terminated: bool [N].
        truncated: bool [N].
    """

    actions: np.ndarray
    states: np.ndarray
    final_states: np.ndarray
    rewards: np.ndarray
    terminated: np.ndarray
    truncated: np.ndarray

    @staticmethod
    def layout(num_envs: int, observation_space: spaces.Box, action_space: spaces.Space) -> dict[str, tuple]:
        """Name, shape and dtype of each array for `num_envs` environments."""
        shape = observation_space.shape
        is_image = len(shape) == 3 and observation_space.dtype == np.uint8
        state = ((num_envs, *shape), np.uint8 if is_image else np.float32)
        discrete = isinstance(action_space, spaces.Discrete)
        return {
            "actions": ((num_envs,), np.int64) if discrete else ((num_envs, *(action_space.shape or ())), np.float32),
            "states": state,
            "final_states": state,
            "rewards": ((num_envs,), np.float32),
            "terminated": ((num_envs,), np.bool_),
            "truncated": ((num_envs,), np.bool_),
        }

    def rows(self, start: int, stop: int) -> "StepArrays":
        """Views of the rows of environments `start` to `stop`."""
        return StepArrays(**{name: array[start:stop] for name, array in vars(self).items()})


class VecEnv(abc.ABC):
    """N environments stepped together; an episode that ends is followed by the next one at once.

    Attributes:
        num_envs: number of environments, N.
        observation_space: of one environment, after `ilpyt.envs.adapter.adapt`.
        action_space: likewise.
        observation_shape: of one observation, a tuple; images are (height, width, channels).
        action_shape: of one action, a tuple; `()` for discrete actions.
        num_actions: number of discrete actions, or of action dimensions.
        type: 'discrete' or 'continuous'.
        env_fns: the functions that made the environments, for making more of the same.
        description: id, package and package version of the environments.
        render_mode: what `render` gives; None: nothing.

    An environment that raises, returns something else than its space says, or dies closes the whole VecEnv and
    raises `EnvError`, which names the environment.
    """

    num_envs: int
    observation_space: spaces.Box
    action_space: spaces.Space
    description: dict[str, str]
    render_mode: str | None

    def __init__(self, env_fns: Sequence[Callable[[], Any]], seed: int | None = None) -> None:
        """Make the environments.

        Args:
            env_fns: one function an environment, without arguments, that makes it. Each must make an environment of its
                own.
            seed: environment `i` is seeded with `seed + i` at its first reset; None: by the operating system.
        """
        if callable(env_fns) or not env_fns or not all(callable(fn) for fn in env_fns):
            raise ValueError("env_fns must be a list of at least one function that makes an environment")
        self.env_fns = list(env_fns)
        self.num_envs = len(self.env_fns)
        self._first_seed = seed
        self._steps = 0
        self._closed = False
        self._has_reset = False

    def _set_up(self, arrays: StepArrays, observation_space: spaces.Box, action_space: spaces.Space) -> None:
        """Take over arrays and spaces, once the environments are there."""
        self._arrays = arrays
        self.observation_space = observation_space
        self.action_space = action_space
        self.action_bounds: tuple[np.ndarray, np.ndarray] | None = None
        if isinstance(action_space, spaces.Box):
            self.action_bounds = (action_space.low.astype(np.float32), action_space.high.astype(np.float32))

    @property
    def type(self) -> str:
        """'discrete' or 'continuous' actions."""
        return "discrete" if isinstance(self.action_space, spaces.Discrete) else "continuous"

    @property
    def observation_shape(self) -> tuple[int, ...]:
        """Shape of one observation."""
        return self.observation_space.shape

    @property
    def observation_dtype(self) -> np.dtype:
        """uint8 for images that come as uint8, else float32."""
        return self._arrays.states.dtype

    @property
    def action_shape(self) -> tuple[int, ...]:
        """Shape of one action."""
        return self.action_space.shape or ()

    @property
    def num_actions(self) -> int:
        """Number of discrete actions, or of action dimensions."""
        if isinstance(self.action_space, spaces.Discrete):
            return int(self.action_space.n)
        return self.action_shape[0]

    def reset(self, seed: int | Sequence[Sequence[int]] | None = None) -> np.ndarray:
        """Start a new episode in every environment.

        Args:
            seed: an int: environment `i` is seeded with `seed + i`, now and not at later resets; a list of seeds for
                every environment: the seeds of its next episodes, in order; None: as before (at the first reset, the
                constructor's).

        Returns:
            states: [N, *obs].
        """
        self._check_open()
        if seed is None and not self._has_reset:
            seed = self._first_seed
        if seed is None:
            seeds: list[list[int]] = [[] for _ in range(self.num_envs)]
        elif isinstance(seed, int | np.integer):
            seeds = [[int(seed) + i] for i in range(self.num_envs)]
        else:
            seeds = [list(s) for s in seed]
            if len(seeds) != self.num_envs:
                raise ValueError(f"got lists of seeds for {len(seeds)} environments, there are {self.num_envs}")
        self._reset(seeds)
        self._has_reset = True
        self._check_finite("observation", self._arrays.states)
        return self._arrays.states.copy()

    def step(self, actions: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, Infos]:
        """Step every environment once, starting the next episode where one ended.

        Args:
            actions: int [N], each in 0..num_actions-1, or float [N, A], clipped to the action space's bounds.

        Returns:
            states: [N, *obs]; where an episode ended, the first observation of the next one.
            rewards: float32 [N].
            dones: bool [N], terminated or truncated.
            infos: `terminated` bool [N], `truncated` bool [N], never both, `final_states` [N, *obs] (the true
                successors, also where an episode ended) and, only if some environment gave one, `env_infos` (a list of
                N dicts).

        All arrays are the caller's to keep.
        """
        self._check_open()
        if not self._has_reset:
            raise EnvError("step was called before reset")
        arrays = self._arrays
        self._set_actions(actions)
        env_infos = self._step()
        self._steps += 1
        self._check_finite("observation", arrays.states)
        self._check_finite("reward", arrays.rewards)
        states = arrays.states.copy()
        terminated = arrays.terminated.copy()
        dones = terminated | arrays.truncated
        truncated = dones > terminated  # an episode that reaches a terminal state at its time limit is terminated
        final_states = states.copy()
        if np.count_nonzero(dones):
            final_states[dones] = arrays.final_states[dones]
            self._check_finite("observation", final_states)
        infos: Infos = {"terminated": terminated, "truncated": truncated, "final_states": final_states}
        if env_infos is not None:
            infos["env_infos"] = env_infos
        return states, arrays.rewards.copy(), dones, infos

    def render(self) -> list[np.ndarray]:
        """A frame, uint8 [H, W, 3], of every environment; build them with `render_mode='rgb_array'`."""
        self._check_open()
        if not self._has_reset:
            raise EnvError("render was called before reset")
        if self.render_mode is None:
            raise ValueError("these environments draw nothing: build them with build_env(..., render_mode='rgb_array')")
        return self._render()

    def close(self) -> None:
        """Close the environments; a second call does nothing."""
        if not self._closed:
            self._closed = True
            self._close()

    def like(self, env_fns: Sequence[Callable[[], Any]]) -> "VecEnv":
        """Other environments, stepped in the same way."""
        return type(self)(env_fns)

    def __enter__(self: AnyVecEnv) -> AnyVecEnv:
        return self

    def __exit__(self, *exc: object) -> None:
        try:
            self.close()
        except EnvError:
            if exc[0] is None:  # else the first failure is the one to report
                raise

    def __len__(self) -> int:
        return self.num_envs

    def __repr__(self) -> str:
        name = self.description.get("env_id", "?")
        return f"{type(self).__name__}({self.num_envs} x {name}, {self.observation_shape}, {self.action_space})"

    @abc.abstractmethod
    def _reset(self, seeds: list[list[int]]) -> None:
        """Reset every environment, writing the arrays' states; `seeds[i]` are environment i's next ones."""

    @abc.abstractmethod
    def _step(self) -> list[dict] | None:
        """Step every environment with the arrays' actions, writing the other arrays; what they gave as info."""

    @abc.abstractmethod
    def _render(self) -> list[Any]:
        """What each environment draws."""

    @abc.abstractmethod
    def _close(self) -> None:
        """Close the environments; called once."""

    def _check_open(self) -> None:
        if self._closed:
            raise EnvError(f"this {type(self).__name__} is closed; build another one")

    def clip_actions(self, actions: np.ndarray) -> np.ndarray:
        """What `step` makes of actions float [M, A]: clipped to the action space's bounds; int [M] stay as they are."""
        return (
            actions
            if self.action_bounds is None
            else np.clip(actions, *self.action_bounds, dtype=np.float32, casting="unsafe")
        )

    def find_invalid_action(self, actions: np.ndarray) -> int | None:
        """Row of the first action that this environment can't take as it is; None: it takes all of them.

        Args:
            actions: int [M] or float [M, A].
        """
        low, high = (0, self.num_actions - 1) if self.action_bounds is None else self.action_bounds
        valid = ((actions >= low) & (actions <= high)).reshape(len(actions), -1).all(axis=1)  # nan compares as False
        invalid = ~valid
        return int(np.argmax(invalid)) if invalid.any() else None

    def _set_actions(self, actions: Any) -> None:
        """Check the caller's actions and write them where the environments read them."""
        target = self._arrays.actions
        actions = np.asarray(actions)
        if actions.shape != target.shape:
            what = "one whole number" if self.action_bounds is None else f"{self.num_actions} numbers"
            raise ValueError(
                f"step got actions of shape {list(actions.shape)}, expected {list(target.shape)}: "
                f"{what} for each of the {self.num_envs} environments"
            )
        if self.action_bounds is not None:
            if not np.isfinite(actions).all():
                bad = int(np.argwhere(~np.isfinite(actions))[0, 0])
                raise ValueError(f"the action for environment {bad} is {actions[bad]}; it must be finite")
            target[:] = self.clip_actions(actions)
            return
        if actions.dtype.kind not in "iub":
            raise ValueError(f"this environment's actions are whole numbers, but step got {actions.dtype}")
        target[:] = actions
        if np.maximum.reduce(target.view(np.uint64)) >= self.num_actions:  # a negative number reads as a huge one
            bad = self.find_invalid_action(target) or 0
            raise ValueError(
                f"the action for environment {bad} is {actions[bad]}; it must be one of 0..{self.num_actions - 1}"
            )

    def _check_finite(self, what: str, array: np.ndarray) -> None:
        """Stop at the first environment that returned nan or an infinity."""
        # counting takes a seventh of the time of `all`
        if array.dtype == np.uint8 or np.count_nonzero(np.isfinite(array)) == array.size:
            return
        bad = np.argwhere(~np.isfinite(array))[0]
        where = "".join(f"[{i}]" for i in bad[1:])
        with suppress(EnvError):  # this failure is the one to report
            self.close()
        raise EnvError(
            f"environment {bad[0]} ({self.description['env_id']}) returned {array[tuple(bad)]} in its {what}{where} "
            f"after {self._steps} steps; the environments are closed"
        )


def name_of(env_fn: Callable[[], Any]) -> str:
    """What to call an environment that isn't there: its id, where `build_env` makes it, or its function's name."""
    return str(getattr(env_fn, "name", getattr(env_fn, "__name__", type(env_fn).__name__)))
