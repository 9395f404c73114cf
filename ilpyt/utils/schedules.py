"""Values that change with training: learning rates, clip ratios, exploration."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

Schedule = Callable[[int], float]


@dataclass(frozen=True)
class Linear:
    """From `start` to `end` in a straight line over `steps` env steps; `end` from then on."""

    start: float
    end: float
    steps: int

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"a linear schedule takes at least 1 step, got {self.steps}")

    def __call__(self, step: int) -> float:
        """The value at an env step."""
        return self.start + (self.end - self.start) * min(step / self.steps, 1.0)


@dataclass(frozen=True)
class Piecewise:
    """Straight lines through `points`, pairs of an env step and a value; before and after them it stays."""

    points: tuple[tuple[int, float], ...]

    def __post_init__(self) -> None:
        steps = [step for step, _ in self.points]
        if not steps or any(later <= earlier for earlier, later in pairwise(steps)):
            raise ValueError(f"the steps of a piecewise schedule must be ascending, got {steps}")

    def __call__(self, step: int) -> float:
        """The value at an env step."""
        steps, values = zip(*self.points, strict=True)
        return float(np.interp(step, steps, values))


@dataclass(frozen=True)
class Exponential:
    """`rate` to the power of the step: 1 at first."""

    rate: float

    def __post_init__(self) -> None:
        if not 0 <= self.rate <= 1:
            raise ValueError(f"the rate of an exponential schedule must be in 0..1, got {self.rate}")

    def __call__(self, step: int) -> float:
        """The value at a step."""
        return self.rate**step


def as_schedule(value: "float | Schedule") -> Schedule:
    """A schedule as it is; a number as one that never changes."""
    if callable(value):
        return value
    constant = float(value)
    return lambda step: constant
