"""Environments stepped in this process, one after another: for debugging, and for cheap environments."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

import gymnasium
import numpy as np

from ilpyt.envs.adapter import adapt, describe
from ilpyt.envs.flatten import check_shape
from ilpyt.envs.vec_env import StepArrays, VecEnv, name_of
from ilpyt.utils.errors import EnvError


class EnvSlice:
    """Environments `start`, `start + 1`, ... of a VecEnv, stepped in series into rows of its arrays.

    `DummyVecEnv` is one slice; a worker process of `SubProcVecEnv` holds another. That both run this code is why their
    trajectories are bit-identical.
    """

    def __init__(self, env_fns: Sequence[Callable[[], Any]], start: int = 0) -> None:
        self.start = start
        self.envs: list[gymnasium.Env] = []
        self.name = "?"
        for i, env_fn in enumerate(env_fns):
            try:
                self.envs.append(adapt(env_fn()))
            except Exception as error:
                with suppress(EnvError):
                    self.close()
                raise EnvError(f"environment {start + i} ({name_of(env_fn)}) can't be made: {_say(error)}") from error
        self.name = describe(self.envs[0])["env_id"]
        self._check_distinct()
        self._seeds: list[Iterator[int]] = [iter(()) for _ in self.envs]

    @property
    def spaces(self) -> list[tuple[gymnasium.Space, gymnasium.Space]]:
        """Observation and action space of every environment."""
        return [(env.observation_space, env.action_space) for env in self.envs]

    def attach(self, arrays: StepArrays) -> None:
        """From now on, read actions from and write results to these arrays, a row an environment."""
        self._arrays = arrays
        self._shape = arrays.states.shape[1:]
        self._dtype = arrays.states.dtype  # of observations that were found to fit

    def reset(self, seeds: list[list[int]]) -> None:
        """Reset every environment; `seeds[i]` seed the next episodes of the slice's environment `i`."""
        self._seeds = [iter(s) for s in seeds]
        for i, env in enumerate(self.envs):
            try:
                self._arrays.states[i] = self._checked(self._first_observation(i, env))
            except Exception as error:
                raise self._failure(i, "reset", error) from error

    def step(self) -> list[dict] | None:
        """Step every environment once; a list of their infos if one of them gave any."""
        a, shape, dtype = self._arrays, self._shape, self._dtype
        states, rewards = a.states, a.rewards
        a.terminated.fill(False)
        a.truncated.fill(False)
        infos: list[dict] | None = None
        i = 0
        doing = "step"
        actions = a.actions.copy()  # an environment may keep its action; the array is written again at the next step
        try:
            for i, env in enumerate(self.envs):
                observation, reward, terminated, truncated, info = env.step(actions[i])
                if getattr(observation, "shape", None) != shape or observation.dtype is not dtype:
                    observation = self._checked(observation)
                    dtype = self._dtype
                if not (terminated is False and truncated is False):
                    a.terminated[i] = ends = _flag("terminated", terminated)
                    a.truncated[i] = is_cut = _flag("truncated", truncated)
                    if ends or is_cut:
                        a.final_states[i] = observation
                        doing = "reset"
                        observation = self._checked(self._first_observation(i, env))
                        doing = "step"
                states[i] = observation
                rewards[i] = reward  # last: what is still nan here tells SubProcVecEnv where a worker was when it died
                if info:
                    infos = infos or [{} for _ in self.envs]
                    infos[i] = info
        except Exception as error:
            raise self._failure(i, doing, error) from error
        return infos

    def render(self) -> list[Any]:
        """What each environment draws."""
        frames: list[Any] = []
        for i, env in enumerate(self.envs):
            try:
                frames.append(env.render())
                if env.render_mode == "rgb_array":
                    _check_frame(frames[-1])
            except Exception as error:
                raise self._failure(i, "render", error) from error
        return frames

    def close(self) -> None:
        """Close every environment, also if one of them fails to; the first failure is raised at the end."""
        failures: list[EnvError] = []
        for i, env in enumerate(self.envs):
            try:
                env.close()
            except Exception as error:
                failures.append(self._failure(i, "close", error))
                failures[-1].__cause__ = error
        if failures:
            raise failures[0]

    def _first_observation(self, i: int, env: gymnasium.Env) -> Any:
        return env.reset(seed=next(self._seeds[i], None))[0]

    def _checked(self, observation: Any) -> Any:
        """The observation, if it has the shape that its space says, and a dtype that can be had in the arrays'.

        Numpy would stretch some other shapes to fit, and cut some numbers off, such as an image's of 0 to 1.
        """
        observation = np.asarray(observation)
        check_shape(observation, self._shape)
        expected = self._arrays.states.dtype
        if expected == np.uint8 and observation.dtype.kind in "iu" and not (observation >> 8).any():
            return observation.astype(np.uint8)
        if not np.can_cast(observation.dtype, expected, "same_kind"):
            raise TypeError(f"its observation is {observation.dtype}; {expected} was expected")
        self._dtype = observation.dtype
        return observation

    def _check_distinct(self) -> None:
        """Refuse environments that are one and the same object."""
        if len({id(env.unwrapped) for env in self.envs}) < len(self.envs):
            raise ValueError(
                "several env_fns return the same environment, which would then be stepped several times a step. Let "
                "each make its own: [lambda: gymnasium.make(...)] * n, not [lambda: env] * n."
            )

    def _failure(self, i: int, doing: str, error: Exception) -> EnvError:
        text = f"environment {self.start + i} ({self.name}) failed in {doing}: {_say(error)}"
        if type(self.envs[i].unwrapped).__module__.startswith("gym.") and int(np.__version__.split(".")[0]) >= 2:
            text += (
                f". gym is no longer maintained and doesn't work whole on NumPy {np.__version__}: use the environment "
                "of gymnasium (build_env('gymnasium:ID')), or install 'numpy<2'"
            )
        return EnvError(text)


class DummyVecEnv(VecEnv):
    """N environments in this process, stepped one after another."""

    def __init__(self, env_fns: Sequence[Callable[[], Any]], seed: int | None = None) -> None:
        super().__init__(env_fns, seed)
        self._slice = EnvSlice(self.env_fns)
        observation_space, action_space = self._or_close(common_spaces, self._slice.spaces)
        layout = StepArrays.layout(self.num_envs, observation_space, action_space)
        arrays = StepArrays(**{name: np.zeros(shape, dtype) for name, (shape, dtype) in layout.items()})
        self._slice.attach(arrays)
        self._set_up(arrays, observation_space, action_space)
        self.description = describe(self.envs[0])
        self.render_mode = self.envs[0].render_mode

    @property
    def envs(self) -> list[gymnasium.Env]:
        """The environments themselves."""
        return self._slice.envs

    def _reset(self, seeds: list[list[int]]) -> None:
        self._or_close(self._slice.reset, seeds)

    def _step(self) -> list[dict] | None:
        return self._or_close(self._slice.step)

    def _render(self) -> list[Any]:
        return self._or_close(self._slice.render)

    def _close(self) -> None:
        self._slice.close()

    def _or_close(self, call: Callable, *args: Any) -> Any:
        """`call(*args)`; whatever goes wrong in it closes the environments."""
        try:
            return call(*args)
        except Exception:
            self._closed = True
            with suppress(EnvError):  # the first failure is the one to report
                self._slice.close()
            raise


def common_spaces(all_spaces: Sequence[tuple[Any, Any]]) -> tuple[Any, Any]:
    """The observation and action space that all environments share; EnvError if they don't."""
    for i, pair in enumerate(all_spaces):
        for what, first, other in zip(("observation", "action"), all_spaces[0], pair, strict=True):
            if first != other:
                raise EnvError(f"environment {i} has {what} space {other}, but environment 0 has {first}")
    return all_spaces[0]


def _flag(name: str, value: Any) -> bool:
    """What an environment says of an episode's end, if it is a truth value."""
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if np.size(value) != 1 or np.asarray(value).dtype.kind not in "biu" or value not in (0, 1):
        raise ValueError(f"its {name!r} flag is {value!r}; it must be True or False")
    return bool(value)


def _check_frame(frame: Any) -> None:
    """Refuse what an environment draws if it isn't an image."""
    if not (isinstance(frame, np.ndarray) and frame.dtype == np.uint8 and frame.ndim == 3 and frame.shape[2] == 3):
        given = f"{frame.dtype} {list(frame.shape)}" if isinstance(frame, np.ndarray) else type(frame).__name__
        raise ValueError(f"it drew {given}; an image is uint8 [height, width, 3]")


def _say(error: Exception) -> str:
    return str(error) if isinstance(error, EnvError) else f"{type(error).__name__}: {error}"
