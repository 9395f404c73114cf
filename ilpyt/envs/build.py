"""`build_env`: from an environment's id to a vectorized environment.

gymnasium is looked up first, gym 0.26 second; `gymnasium:ID` and `gym:ID` name one of the two.
"""

import difflib
import importlib
import logging
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gymnasium

from ilpyt.envs.adapter import gymnasium_style
from ilpyt.envs.dummy_vec_env import DummyVecEnv
from ilpyt.envs.last_frame import LastFrame
from ilpyt.envs.subproc_vec_env import SubProcVecEnv
from ilpyt.envs.vec_env import VecEnv, name_of
from ilpyt.utils.errors import EnvError

VEC_ENVS: dict[str, type[VecEnv]] = {"dummy": DummyVecEnv, "subproc": SubProcVecEnv}

# What gymnasium refuses under the old version and has, with the same dynamics, under the new one.
# https://gymnasium.farama.org/environments/box2d/lunar_lander/#version-history
SUCCESSORS = {
    "LunarLander-v2": "LunarLander-v3",
    "LunarLanderContinuous-v2": "LunarLanderContinuous-v3",
}

PACKAGES = ("gymnasium", "gym")  # in which an id is looked up, in this order

log = logging.getLogger(__name__)
_announced: set[str] = set()


def build_env(
    env_id: str | Callable[[], Any],
    num_env: int = 16,
    seed: int = 24,
    vecenv_type: str = "dummy",
    *,
    wrappers: Sequence[Callable[[gymnasium.Env], gymnasium.Env]] = (),
    timeout: float | None = None,
    **make_kwargs: Any,
) -> VecEnv:
    """Build `num_env` environments that are stepped together.

    Args:
        env_id: an id that gymnasium or gym knows, among them those your script has registered; `gymnasium:ID` or
            `gym:ID` to say which; `module:ID` to import the module that registers it first; or a function without
            arguments that makes an environment.
        num_env: number of environments.
        seed: environment `i` is seeded with `seed + i` at its first reset.
        vecenv_type: 'dummy' steps them in this process, 'subproc' in one worker process a core.
        wrappers: put around each environment, the first innermost: wrapper classes of gymnasium or your own, with
            `functools.partial` where they take arguments.
        timeout: of 'subproc': seconds that making the environments, a step, a reset or a render may take before it is
            an error; None: any time.
        make_kwargs: go to the package's `make`, for instance `render_mode='rgb_array'`.

    Raises:
        EnvError: no such environment (the nearest names are listed), it can't be made here, or a space that ilpyt can't
            learn from.
    """
    if vecenv_type not in VEC_ENVS:
        raise ValueError(f"vecenv_type must be one of {', '.join(map(repr, VEC_ENVS))}, got {vecenv_type!r}")
    if isinstance(num_env, bool) or not isinstance(num_env, int) or num_env < 1:
        raise ValueError(f"num_env must be a whole number of at least 1, got {num_env!r}")
    env_fn: Callable[[], Any]
    if isinstance(env_id, str):
        env_fn = _resolve(env_id, make_kwargs)
    elif callable(env_id):
        if make_kwargs:
            raise TypeError(
                f"{', '.join(make_kwargs)}: keywords go with an id; a function makes its environment itself"
            )
        env_fn = env_id
    else:
        raise TypeError(f"env_id must be a string or a function that makes an environment, got {env_id!r}")
    if wrappers:
        env_fn = WrappedEnv(env_fn, tuple(wrappers))
    if timeout is None:
        return VEC_ENVS[vecenv_type]([env_fn] * num_env, seed)
    if vecenv_type != "subproc":
        raise ValueError("a timeout can be kept by worker processes only: build_env(..., vecenv_type='subproc')")
    return SubProcVecEnv([env_fn] * num_env, seed, timeout=timeout)


def drawing_env(env: VecEnv, render_mode: str = "rgb_array") -> DummyVecEnv:
    """One environment like those of `env`, in this process, that draws.

    Args:
        env: whose first function makes it.
        render_mode: 'rgb_array': frames, by `render()`, and an episode's last by the wrapper `LastFrame`; 'human': in a
            window, at every step.

    Raises:
        EnvError: it can't draw, or not in this way.
    """
    env_fn = _drawing(env.env_fns[0], render_mode)
    own = DummyVecEnv([env_fn if render_mode == "human" else WrappedEnv(env_fn, (LastFrame,))])
    if own.render_mode != render_mode:
        own.close()
        raise EnvError(
            f"{own.description['env_id']} was made with render_mode={own.render_mode!r} and can't draw as "
            f"{render_mode!r}: have the function that makes it pass render_mode={render_mode!r}"
        )
    return own


def _drawing(env_fn: Callable[[], Any], render_mode: str) -> Callable[[], Any]:
    """The function for environments that draw; somebody else's as it is."""
    return env_fn.drawing(render_mode) if isinstance(env_fn, EnvFactory | WrappedEnv) else env_fn


def imports_module(env_id: str) -> bool:
    """Whether `build_env` would import a module that an id names, and so run code: no file may ask for that."""
    return _module_and_name(env_id)[0] not in ("", *PACKAGES)


def _module_and_name(env_id: str) -> tuple[str, str]:
    """'module' and 'ID' of 'module:ID'."""
    module, _, name = str(env_id).rpartition(":")
    return module, name


def made_with(env_fn: Callable[[], Any]) -> dict[str, Any]:
    """What a function of `build_env` gives its environment beside the id: `wrappers` and `make_kwargs`, as text."""
    if isinstance(env_fn, WrappedEnv):
        return {"wrappers": [repr(wrapper) for wrapper in env_fn.wrappers], **made_with(env_fn.env_fn)}
    if isinstance(env_fn, EnvFactory) and env_fn.make_kwargs:
        return {"make_kwargs": {name: repr(value) for name, value in env_fn.make_kwargs.items()}}
    return {}


@dataclass(frozen=True)
class WrappedEnv:
    """Makes an environment with wrappers around it."""

    env_fn: Callable[[], Any]
    wrappers: tuple[Callable[[gymnasium.Env], gymnasium.Env], ...]

    @property
    def name(self) -> str:
        """What to call it."""
        return name_of(self.env_fn)

    def drawing(self, render_mode: str) -> "WrappedEnv":
        """One whose environments draw."""
        return replace(self, env_fn=_drawing(self.env_fn, render_mode))

    def __call__(self) -> gymnasium.Env:
        """A new environment."""
        env = gymnasium_style(self.env_fn())
        for wrapper in self.wrappers:
            env = wrapper(env)
        return env


@dataclass(frozen=True)
class EnvFactory:
    """Makes an environment of a package from its specification.

    It holds the specification rather than the id, so that a worker process can make environments that only the user's
    script has registered.
    """

    package: str
    spec: Any
    make_kwargs: dict[str, Any]

    @property
    def name(self) -> str:
        """What to call it."""
        return str(self.spec.id)

    def drawing(self, render_mode: str) -> "EnvFactory":
        """One whose environments draw."""
        return replace(self, make_kwargs={**self.make_kwargs, "render_mode": render_mode})

    def __call__(self) -> Any:
        """A new environment."""
        make = importlib.import_module(self.package).make
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*out of date.*")  # the paper's environments are, on purpose
            return make(self.spec, disable_env_checker=True, **self.make_kwargs)


def _resolve(env_id: str, make_kwargs: dict[str, Any]) -> EnvFactory:
    """The factory for an id."""
    prefix, name = _module_and_name(env_id)
    packages = list(PACKAGES)
    if prefix in packages:
        packages = [prefix]
    elif prefix or name.startswith("ALE/"):
        prefix = prefix or "ale_py"  # which has Atari's games, and registers them when it's imported
        try:
            importlib.import_module(prefix)
        except ImportError as error:
            hint = "; Atari's games come with pip install 'ilpyt[atari]'" if prefix == "ale_py" else ""
            raise EnvError(f"{env_id!r}: can't import the module {prefix!r}: {error}{hint}") from error
        except Exception as error:  # of its own
            place = traceback.extract_tb(error.__traceback__)[-1]
            where = "" if isinstance(error, SyntaxError) else f" ({Path(place.filename).name}, line {place.lineno})"
            raise EnvError(
                f"{env_id!r}: the module {prefix!r} failed: {type(error).__name__}: {error}{where}"
            ) from error
    refusals = []
    for package in packages:
        candidates = [name, SUCCESSORS[name]] if package == "gymnasium" and name in SUCCESSORS else [name]
        for candidate in candidates:
            try:
                spec = _spec(package, candidate)
            except Exception as error:
                refusals.append(f"{package}: {error}")
                continue
            if candidate != name and name not in _announced:
                _announced.add(name)
                log.warning("gymnasium calls %s %s now (same dynamics); using that.", name, candidate)
            # A VecEnv sees to the order of reset and step itself, at less cost than a wrapper on each environment.
            spec = replace(spec, order_enforce=False)
            module, _, maker = str(spec.entry_point).partition(":")
            if module == "__main__":  # in a worker process, that is another one
                spec = replace(spec, entry_point=getattr(sys.modules[module], maker, spec.entry_point))
            return EnvFactory(package, spec, make_kwargs)
    known = sorted({i for package in packages for i in importlib.import_module(package).envs.registry})
    nearest = difflib.get_close_matches(name, known, n=4, cutoff=0.5)
    hint = f"Did you mean {', '.join(nearest)}?" if nearest else "Register it first, or pass a function that makes it."
    raise EnvError(f"there is no environment {env_id!r}. {hint} ({'; '.join(refusals)})")


def _spec(package: str, name: str) -> Any:
    """A registered specification; raises what the package raises if there is none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        spec = importlib.import_module(package).envs.registry.get(name)
        if spec is not None:
            return spec
        return importlib.import_module(package).spec(name)


def _silence_notice() -> None:
    """Take the notice that gym prints when it is imported: ilpyt's users can't act on it."""
    try:
        from gym_notices.notices import notices
    except ImportError:
        return
    notices.clear()


_silence_notice()
