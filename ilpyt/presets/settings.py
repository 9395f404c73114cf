"""`Settings`: keywords that an algorithm learns an environment with, and how a file or a command line spells them."""

import ast
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from ilpyt.envs import DiscretizeAction
from ilpyt.utils.errors import DataError
from ilpyt.utils.schedules import Exponential, Linear, Piecewise

SCHEDULES = {kind.__name__: kind for kind in (Linear, Piecewise, Exponential)}
IF_TRUSTED = "; if you trust the file: trusted=True, or --trust on the command line"
WRAPPERS = {DiscretizeAction.__name__: DiscretizeAction}  # that a file may name


@dataclass(frozen=True)
class Settings:
    """Keywords that an algorithm learns an environment with.

    Attributes:
        env: of `build_env`.
        net: of `choose_net`, for the networks of the agent that acts.
        agent: of the algorithm's `make_agent`.
        train: of the algorithm's `train`; demonstrations and experts are left to say.
    """

    env: dict[str, Any] = field(default_factory=dict)
    net: dict[str, Any] = field(default_factory=dict)
    agent: dict[str, Any] = field(default_factory=dict)
    train: dict[str, Any] = field(default_factory=dict)

    def spell(self) -> dict[str, Any]:
        """As what JSON can say; `read` is the way back.

        Raises:
            ValueError: they hold something that a file can't say, such as a function.
        """
        return spell(vars(self))

    @classmethod
    def read(cls, spelled: Mapping[str, Any], *, trusted: bool = False) -> "Settings":
        """Settings from what `spell` gave.

        Args:
            spelled: of a file that may come from a stranger.
            trusted: it doesn't: 'module:Name' among `env['wrappers']` is imported.

        Raises:
            DataError: something that isn't understood.
        """
        parts = {name: spelled.get(name, {}) for name in cls.__dataclass_fields__}
        for name, part in parts.items():
            if not isinstance(part, dict):
                raise DataError(f"{name} of the settings must be keywords with their values, got {part!r}")
        env = dict(parts["env"])
        if "wrappers" in env:
            env["wrappers"] = [read_wrapper(text, trusted=trusted) for text in env["wrappers"]]
        return cls(env, *(_read(parts[name]) for name in ("net", "agent", "train")))


def spell(value: Any) -> Any:
    """A value as what JSON can say; tuples become lists, schedules and wrappers text.

    Raises:
        ValueError: it holds something that a file can't say, such as a function.
    """
    if isinstance(value, bool | int | float | str | None):
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {name: spell(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [spell(part) for part in value]
    if type(value) in SCHEDULES.values():
        return spell_schedule(value)
    if value in WRAPPERS.values():
        return value.__name__
    raise ValueError(f"a file can't say {value!r}")


def _read(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _read(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_read(part) for part in value]
    if isinstance(value, str) and re.match(rf"({'|'.join(SCHEDULES)})\(", value):
        return read_schedule(value)
    return value


def spell_schedule(schedule: Any) -> str:
    """'Linear(0.001, 0, 500000)'."""
    return f"{type(schedule).__name__}({', '.join(map(repr, asdict(schedule).values()))})"


def read_schedule(text: str) -> Any:
    """The schedule that `spell_schedule` spells.

    Raises:
        DataError: it isn't one.
    """
    name, args, kwargs = _read_call(text)
    try:
        return SCHEDULES[name](*args, **kwargs)
    except (KeyError, TypeError, ValueError) as error:
        why = f"; schedules are {', '.join(SCHEDULES)}" if isinstance(error, KeyError) else f": {error}"
        raise DataError(f"{text!r} isn't a schedule such as 'Linear(1e-3, 0, 500000)'{why}") from None


def read_wrapper(text: str, *, trusted: bool = True) -> Callable[..., Any]:
    """A wrapper of environments: 'DiscretizeAction', or with `trusted` any 'module:Name' or 'module:Name(keyword=1)'.

    Raises:
        DataError: there is none of this name, or it isn't trusted.
    """
    path, parenthesis, arguments = str(text).partition("(")
    module, _, name = path.rpartition(":")
    name, args, kwargs = _read_call(name + parenthesis + arguments)
    if module and not trusted:
        raise DataError(f"the wrapper {text!r} would run code of its module{IF_TRUSTED}")
    try:
        wrapper = getattr(import_module(module), name) if module else WRAPPERS[name]
    except (ImportError, AttributeError, KeyError) as error:
        raise DataError(
            f"there is no wrapper {text!r} ({error}); it takes {', '.join(WRAPPERS)}, or 'module:Name' such as "
            "'gymnasium.wrappers:FrameStackObservation(stack_size=4)'"
        ) from None
    if args:
        raise DataError(f"{text!r}: a wrapper takes keywords, such as 'stack_size=4'")
    return partial(wrapper, **kwargs) if kwargs else wrapper


def _read_call(text: str) -> tuple[str, list[Any], dict[str, Any]]:
    """Name, arguments and keywords of 'Name' or 'Name(1, b=2)'; nothing is run."""
    try:
        (statement,) = ast.parse(text.strip()).body
        call = statement.value  # type: ignore[attr-defined]
        if isinstance(call, ast.Name):
            return call.id, [], {}
        args = [ast.literal_eval(arg) for arg in call.args]
        return call.func.id, args, {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords}
    except (SyntaxError, ValueError, TypeError, AttributeError, MemoryError, RecursionError):
        raise DataError(f"{text!r} isn't a name, nor a name with arguments such as 'Linear(1e-3, 0, 500000)'") from None
