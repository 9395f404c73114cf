"""Command line options from the signatures and docstrings of what they are keywords of.

`options_of("Learner", PPOAgent.initialize)` is a dataclass with a field for each keyword that a command line can say:
its type, its default, and what the docstring says of it. tyro makes flags of them: `--help` can't drift from the code.
"""

import difflib
import inspect
import json
import re
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, fields, is_dataclass, make_dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro
from docstring_parser import parse_from_object
from torch import nn

from ilpyt.agents import BaseAgent
from ilpyt.algos import BaseAlgorithm
from ilpyt.cli.keywords import read_keywords
from ilpyt.envs import VecEnv
from ilpyt.presets.settings import read_schedule, spell_schedule
from ilpyt.runners import Experiences
from ilpyt.utils.errors import DataError

PLAIN = (bool, int, float, str, Path, types.NoneType)
VARIABLE = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def options_of(
    name: str,
    *functions: Callable,
    skip: Sequence[str] = (),
    groups: Mapping[str, type] | None = None,
    about: Mapping[str, str] | None = None,
) -> type:
    """A dataclass of the keywords that some functions take, the first function's first.

    Args:
        name: of the dataclass.
        functions: whose keywords it has, but for those that are objects, such as a network.
        skip: keywords to leave out.
        groups: dataclasses for keywords whose value is a dict of keywords, by name.
        about: what to say of a keyword instead of the docstring.
    """
    members: dict[str, tuple[str, Any, Any]] = {}
    for function in functions:
        hints = typing.get_type_hints(function, localns={kind.__name__: kind for kind in (VecEnv, BaseAlgorithm)})
        said = {param.arg_name: param.description or "" for param in parse_from_object(function).params}
        for keyword, parameter in inspect.signature(function).parameters.items():
            if keyword in (*skip, *members) or keyword not in hints or parameter.kind in VARIABLE:
                continue
            if keyword in (groups or {}):
                members[keyword] = _group(keyword, groups[keyword])  # type: ignore[index]
            elif kind := _kind(hints[keyword]):
                help_ = tyro.conf.arg(help=_one_line({**said, **(about or {})}.get(keyword, "")))
                members[keyword] = (keyword, Annotated[kind, help_], _default(parameter.default))
    more = [_group(keyword, kind) for keyword, kind in (groups or {}).items() if keyword not in members]
    return make_dataclass(name, [*members.values(), *more])


def _default(value: Any) -> Any:
    if isinstance(value, dict):
        return field(default_factory=dict)
    return field(default=tuple(value) if isinstance(value, list) else value)


def _group(keyword: str, kind: type) -> tuple[str, Any, Any]:
    return keyword, kind, field(default_factory=kind)


def chosen(options: Any, given: Mapping[str, Any], flags: Sequence[str], prefix: str = "") -> dict[str, Any]:
    """Keywords from options: those that were given before, and those that a flag says.

    Args:
        options: as parsed.
        given: keywords that they began with.
        flags: see `flags_in`.
        prefix: of the flags.
    """
    values: dict[str, Any] = {}
    for option in fields(options):
        value, name = getattr(options, option.name), option.name
        if is_dataclass(option.default_factory):
            value = chosen(value, given.get(name) or {}, flags, f"{prefix}{name}.")
            if value or name in given:
                values[name] = value
        elif name in given or f"{prefix}{name}" in flags:
            values[name] = list(value) if isinstance(value, tuple) else value
    return values


def flags_in(arguments: Sequence[str]) -> list[str]:
    """The options that arguments name: 'net.normalize' for '--net.no-normalize'."""
    names = [argument.partition("=")[0].lstrip("-") for argument in arguments if argument.startswith("--")]
    return [re.sub(r"(^|\.)no_", r"\1", name.replace("-", "_")) for name in names]


def filled(kind: Any, values: Mapping[str, Any], what: str) -> Any:
    """Options of a kind that begin with some values.

    Raises:
        DataError: there is no such option; the nearest names are in the message.
    """
    known = {option.name: option for option in fields(kind)}
    content: dict[str, Any] = {}
    for name, value in values.items():
        if name not in known:
            nearest = difflib.get_close_matches(name, known, n=3, cutoff=0.5) or list(known)
            raise DataError(f"{what} has no {name!r}; did you mean {', '.join(nearest)}?")
        group = known[name].default_factory
        if is_dataclass(group):
            content[name] = filled(group, value or {}, f"{what}.{name}")
        else:
            content[name] = tuple(value) if isinstance(value, list) else value
    return kind(**content)


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text.replace("`", "")).strip()


def _kind(hint: Any) -> Any:
    """The type of an option for a keyword with this annotation; None: a command line can't say it."""
    parts = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
    if any(isinstance(part, type) and issubclass(part, nn.Module) for part in parts):
        return None
    if Experiences in parts or BaseAgent in parts:
        return str | None
    if any(typing.get_origin(part) is Callable for part in parts):
        return NUMBER_OR_SCHEDULE if float in parts else None
    if all(part in PLAIN for part in parts):
        return hint
    sequences = {Sequence[int]: tuple[int, ...], list[str]: tuple[str, ...]}
    if hint in sequences:
        return sequences[hint]
    if dict[str, Any] in parts:
        return JSON
    return None


def _read_number(arguments: list[str]) -> Any:
    try:
        return float(arguments[0])
    except ValueError:
        pass
    try:
        return read_schedule(arguments[0])
    except DataError as error:
        raise ValueError(str(error)) from None


NUMBER_OR_SCHEDULE = Annotated[
    Any,
    tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="FLOAT|SCHEDULE",
        instance_from_str=_read_number,
        is_instance=lambda value: True,
        str_from_instance=lambda value: [f"{value:g}" if isinstance(value, int | float) else spell_schedule(value)],
    ),
]
JSON = Annotated[
    Any,
    tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="JSON",
        instance_from_str=lambda arguments: read_keywords(arguments[0]),
        is_instance=lambda value: True,
        str_from_instance=lambda value: [json.dumps(value)],
    ),
]
