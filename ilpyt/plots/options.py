"""What a figure of learning curves shows, and how; nothing heavy is imported for a command's flags."""

from dataclasses import dataclass
from typing import Literal, get_args

XAxis = Literal["both", "step", "seconds"]
Scale = Literal["auto", "linear", "log"]


@dataclass(frozen=True)
class Options:
    """What is drawn, and how; for each see `plot_runs`."""

    metric: str | None = None
    x: XAxis = "both"
    x_scale: Scale = "auto"
    smooth: int = 1
    whole: bool = False

    def __post_init__(self) -> None:
        if self.smooth < 1:
            raise ValueError(f"smooth must be at least 1, got {self.smooth}")
        for name, value, known in (("x", self.x, get_args(XAxis)), ("x_scale", self.x_scale, get_args(Scale))):
            if value not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}, got {value!r}")
