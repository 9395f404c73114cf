"""Learning curves of runs, drawn with matplotlib: `plot_runs`.

`read_runs` reads what runs have logged, `average` makes one curve of several, `draw_runs` draws into a figure of yours.

Each loads on first use, so that `ilpyt --help` waits for neither numpy nor matplotlib.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ilpyt.plots.curves import average
    from ilpyt.plots.draw import draw_runs
    from ilpyt.plots.plot import plot_runs
    from ilpyt.plots.runs import Run, read_run, read_runs
    from ilpyt.plots.select import choose_metric

__all__ = ["Run", "average", "choose_metric", "draw_runs", "plot_runs", "read_run", "read_runs"]
_MODULES = {
    "Run": "runs", "average": "curves", "choose_metric": "select", "draw_runs": "draw", "plot_runs": "plot",
    "read_run": "runs", "read_runs": "runs",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(import_module(f"ilpyt.plots.{_MODULES[name]}"), name)
    raise AttributeError(f"module 'ilpyt.plots' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
