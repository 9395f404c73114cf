"""`plot_runs`: from folders of runs to a file with their learning curves."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ilpyt.plots.draw import DPI, draw_runs
from ilpyt.plots.options import Options, Scale, XAxis
from ilpyt.plots.runs import Run, read_runs
from ilpyt.utils.errors import IlpytError, SaveError
from ilpyt.utils.extras import require

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NO_WINDOW = {"agg", "cairo", "pdf", "pgf", "ps", "svg", "template"}  # matplotlib's backends that only write files


def plot_runs(
    runs: Iterable[str | Path],
    out: str | Path | None = None,
    *,
    metric: str | None = None,
    x: XAxis = "both",
    x_scale: Scale = "auto",
    smooth: int = 1,
    whole: bool = False,
    show: bool = False,
) -> Path:
    """Draw learning curves into a file: a row of panels an environment, a colour an algorithm.

    Runs of the same algorithm in the same environment count as seeds of one experiment. Each has a thin line; a thick
    one is their mean, with its 95% bootstrap interval, where all of them have data (see `average`): where the first
    seed has ended, the mean ends, and thin lines go on. In the paper's environments, returns have a dashed line where
    it says they are solved, and a dotted one at the scripted expert's mean return on the 100 test episodes.

    What can't be read, and runs without the metric, are left out, with a warning that says why.

    Args:
        runs: folders of runs, and folders that hold such at any depth.
        out: the file, with a suffix that matplotlib knows, such as .png, .pdf or .svg; None: `curves.png` in the first
            of `runs`.
        metric: a column of `progress.csv`; None: the first of 'evaluation/return', 'episode/return', 'validation_loss'
            and 'loss' that all runs have, else that any has.
        x: 'step' is what an algorithm counts: BC epochs, others env steps, in panels of their own; 'seconds' are those
            of training, with its evaluations; 'both' draws them side by side.
        x_scale: 'linear', 'log', or 'auto': logarithmic in panels where an algorithm goes on ten times as long as
            another, unless a curve begins at 0.
        smooth: rows of `progress.csv` in a running mean; 1: none.
        whole: also show returns that are far below both a random policy's and those that the curves end at: where
            they would take a third of a panel in the paper's environments, they are cut off otherwise, and it says so.
        show: also open a window.

    Returns:
        the file.

    Raises:
        MissingExtraError: matplotlib isn't installed.
        FileNotFoundError: one of `runs` isn't there.
        DataError: there is no run that can be read, or none has the metric.
        SaveError: the file can't be written.
        IlpytError: there is no display to show a window on; the file is written.
    """
    figures = require("matplotlib.figure", "plot")
    options = Options(metric, x, x_scale, smooth, whole)
    paths = [Path(run) for run in runs]
    read = read_runs(paths)
    out = (paths[0] if paths[0].is_dir() else paths[0].parent) / "curves.png" if out is None else Path(out)
    figure = figures.Figure()
    _check_suffix(out, figure)
    _save(draw_runs(figure, read, options), out)
    if show:
        _show(read, options, out)
    return out


def _check_suffix(out: Path, figure: "Figure") -> None:
    known: Any = figure.canvas.get_supported_filetypes()
    if out.suffix[1:].lower() not in known:
        raise ValueError(f"out is {out}; its suffix must be one of .{', .'.join(sorted(known))}")


def _save(figure: "Figure", out: Path) -> None:
    from ilpyt.utils.checkpoint import atomic_write  # imports torch

    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SaveError(f"{out} can't be written: {error.strerror or error}") from error
    with atomic_write(out) as file:
        figure.savefig(file, format=out.suffix[1:].lower(), dpi=DPI)


def _show(runs: Sequence[Run], options: Options, out: Path) -> None:
    """Draw the same in a window, and wait until it is closed."""
    pyplot = require("matplotlib.pyplot", "plot")
    failure = IlpytError(f"there is no display to show a window on; look at {out}, or leave out `show`")
    try:
        figure = pyplot.figure()
    except ImportError:  # the backend that was asked for needs a display
        raise failure from None
    try:
        if pyplot.get_backend().lower() in NO_WINDOW:
            raise failure
        draw_runs(figure, runs, options)
        pyplot.show()
    finally:
        pyplot.close(figure)
