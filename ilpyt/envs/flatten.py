"""Observations of several parts, or of categories, as vectors.

gymnasium's `flatten` believes what it is given: -1 of `Discrete(4)` becomes its last category, a category too many of
one part the first of the next, and an image of 0 to 1 where uint8 is expected all black. Here these are errors.
"""

from typing import Any, cast

import numpy as np
from gymnasium import spaces


def flatten(space: spaces.Space, value: Any) -> np.ndarray:
    """`spaces.flatten` of a value that the space holds; numbers may be out of a Box's bounds.

    Raises:
        ValueError, TypeError: the value, or the part of it that is named, has another structure, shape or kind than the
            space says, or there is no such category.
    """
    _check(space, value, "")
    return np.asarray(spaces.flatten(space, value))


def _check(space: spaces.Space, value: Any, where: str) -> None:
    """Refuse a part of an observation; `where` says which, as in "['image']"."""
    if isinstance(space, spaces.Dict):
        _check_keys(space, value, where)
        for key, part in space.spaces.items():
            _check(part, value[key], f"{where}[{key!r}]")
    elif isinstance(space, spaces.Tuple):
        _check_length(space, value, where)
        for i, part in enumerate(space.spaces):
            _check(part, value[i], f"{where}[{i}]")
    elif isinstance(space, spaces.Box):
        _check_numbers(space, np.asarray(value), where)
    elif isinstance(space, spaces.Discrete | spaces.MultiDiscrete | spaces.MultiBinary):
        _check_categories(space, np.asarray(value), where)


def check_shape(value: np.ndarray, shape: tuple[int, ...], where: str = "") -> None:
    """Refuse an observation, or the part of it that is named, of another shape than its space says.

    Raises:
        ValueError: with both shapes.
    """
    if value.shape != shape:
        raise ValueError(f"its observation{where} has shape {list(value.shape)}; its space says {list(shape)}")


def _check_keys(space: spaces.Dict, value: Any, where: str) -> None:
    try:
        missing = next((key for key in space.spaces if key not in value), None)
    except TypeError:
        raise TypeError(f"its observation{where} is {type(value).__name__}; its space says {space}") from None
    if missing is not None:
        raise ValueError(f"its observation{where} has no {missing!r}, only {', '.join(map(repr, value))}")


def _check_length(space: spaces.Tuple, value: Any, where: str) -> None:
    if not hasattr(value, "__len__"):
        raise TypeError(f"its observation{where} is {type(value).__name__}; its space says {space}")
    if len(value) != len(space.spaces):
        parts = f"{len(value)} part{'' if len(value) == 1 else 's'}"
        raise ValueError(f"its observation{where} has {parts}; its space says {len(space.spaces)}")


def _check_numbers(space: spaces.Box, value: np.ndarray, where: str) -> None:
    check_shape(value, space.shape, where)
    expected = space.dtype
    if value.dtype == expected or np.can_cast(value.dtype, expected, "same_kind"):
        return
    if value.dtype.kind not in "iu" or expected.kind not in "iu":
        raise TypeError(f"its observation{where} is {value.dtype}; {expected} was expected")
    holds = np.iinfo(cast(Any, expected))
    wrong = value[(value < holds.min) | (value > holds.max)]
    if wrong.size:
        raise ValueError(f"its observation{where} has {wrong[0]}; {expected} holds {holds.min} to {holds.max}")


def _check_categories(
    space: spaces.Discrete | spaces.MultiDiscrete | spaces.MultiBinary, value: np.ndarray, where: str
) -> None:
    start: Any = 0
    count: Any = 2
    fits = value.shape == space.shape
    if isinstance(space, spaces.Discrete):
        start, count, fits = space.start, space.n, value.size == 1  # [2] is as good as 2
    elif isinstance(space, spaces.MultiDiscrete):
        start, count = space.start, space.nvec
    if not fits or value.dtype.kind not in "iub" or not ((value >= start) & (value < start + count)).all():
        raise ValueError(f"its observation{where} is {value.tolist()}, which is not in {space}")
