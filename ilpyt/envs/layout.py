"""How the values of a space are laid out where agents meet them, and back.

Observations are vectors or images (height, width, channels); actions are counted from 0, or a vector.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import numpy as np
from gymnasium import spaces

from ilpyt.envs.flatten import check_shape, flatten
from ilpyt.utils.errors import EnvError

MOST_NUMBERS = 10**7  # of an observation of several parts; bounds of 80 MB each


@dataclass(frozen=True)
class Layout:
    """A space and the plain one that its values are laid out in.

    Attributes:
        original: the space.
        space: the plain one; the same object, if there is nothing to do.
        to_plain: lays out one value.
        from_plain: the value that is laid out like this, in the original space's dtype.
    """

    original: spaces.Space
    space: spaces.Space
    to_plain: Callable[[Any], Any]
    from_plain: Callable[[Any], Any]

    @property
    def changes_nothing(self) -> bool:
        """Whether values are laid out as they are."""
        return self.space is self.original

    @property
    def takes_float32(self) -> bool:
        """Whether actions float32 need no `from_plain`."""
        return self.changes_nothing and (not isinstance(self.space, spaces.Box) or self.space.dtype == np.float32)


def plain_actions(space: spaces.Space, source: str) -> Layout:
    """Actions counted from 0, or a one-dimensional Box.

    Args:
        space: of the environment's actions.
        source: what errors call the environment.

    Raises:
        EnvError: any other space.
    """
    if isinstance(space, spaces.Discrete):
        start = int(space.start)
        plain = space if start == 0 else spaces.Discrete(int(space.n))
        return Layout(space, plain, lambda action: action - start, lambda action: action + start)
    if isinstance(space, spaces.Box) and len(space.shape) == 1:
        return Layout(space, space, lambda action: action, partial(_box_action, space))
    raise EnvError(
        f"actions of {source} are {space}; ilpyt learns Discrete and one-dimensional Box actions. "
        "Wrap the environment in gymnasium.wrappers.TransformAction to give it one of these."
    )


def _box_action(space: spaces.Box, action: Any) -> np.ndarray:
    """The action of a space nearest to float32 [A], which may be no whole number, or beyond: float32(0.1) > 0.1."""
    if space.dtype == np.float32:
        return np.asarray(action, np.float32)
    wide = np.asarray(action, np.float64)
    return np.clip(wide if space.dtype.kind == "f" else np.rint(wide), space.low, space.high).astype(space.dtype)


def plain_observations(space: spaces.Space, source: str) -> Layout:
    """Vectors, or images of shape (height, width, channels).

    Args:
        space: of the environment's observations.
        source: what errors call the environment.

    Raises:
        EnvError: values of the space have no fixed length, or too large a one.
    """
    if not isinstance(space, spaces.Box):
        if not space.is_np_flattenable:
            raise EnvError(
                f"observations of {source} are {space}, which has no fixed length; ilpyt learns from "
                "Box, Discrete, MultiDiscrete, MultiBinary, Tuple and Dict observations. Wrap the environment in "
                "gymnasium.wrappers.TransformObservation to give it one of these."
            )
        length = spaces.flatdim(space)
        if length > MOST_NUMBERS:
            raise EnvError(f"observations of {source} are {space}: as a vector, they would be {length:,} numbers")
        flat = cast(spaces.Space, spaces.flatten_space(space))
        return Layout(space, flat, partial(flatten, space), partial(spaces.unflatten, space))
    if len(space.shape) == 1 or (len(space.shape) == 3 and not _channels_first(space.shape)):
        return Layout(space, space, lambda x: x, lambda x: np.asarray(x, space.dtype))
    forth, back = _box_layout(space.shape, space.dtype)
    plain = spaces.Box(forth(space.low), forth(space.high), dtype=cast(Any, space.dtype))
    return Layout(space, plain, partial(_arrange, space.shape, forth), lambda x: back(np.asarray(x, space.dtype)))


def _arrange(shape: tuple[int, ...], forth: "Arrange", value: Any) -> np.ndarray:
    """An observation laid out; another shape is refused first, which would often be laid out as well, and be noise."""
    value = np.asarray(value)
    check_shape(value, shape)
    return forth(value)


def _channels_first(shape: tuple[int, ...]) -> bool:
    """Whether an image's shape reads (channels, height, width), as stacked grey frames do."""
    return shape[0] < min(shape[1:])


Arrange = Callable[[np.ndarray], np.ndarray]


def _box_layout(shape: tuple[int, ...], dtype: Any) -> tuple[Arrange, Arrange]:
    """How to lay out a Box that is neither a vector nor (height, width, channels), and back."""
    if len(shape) == 4:  # a stack of images: their channels side by side
        return (
            lambda x: np.moveaxis(x, 0, -2).reshape(*shape[1:3], -1),
            lambda x: np.moveaxis(x.reshape(*shape[1:3], shape[0], shape[3]), -2, 0),
        )
    if len(shape) == 3:
        return lambda x: np.moveaxis(x, 0, -1), lambda x: np.moveaxis(x, -1, 0)
    if len(shape) == 2 and dtype == np.uint8:
        return lambda x: x[..., None], lambda x: x[..., 0]
    return lambda x: x.reshape(-1), lambda x: x.reshape(shape)
