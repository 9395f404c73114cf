"""`ilpyt plot`: learning curves."""

from pathlib import Path

import tyro

from ilpyt.plots.options import Scale, XAxis


def plot(
    runs: tyro.conf.Positional[tuple[Path, ...]],
    out: Path | None = None,
    metric: str | None = None,
    x: XAxis = "both",
    x_scale: Scale = "auto",
    smooth: int = 1,
    whole: bool = False,
    show: bool = False,
) -> None:
    """Draw learning curves of runs into a file.

    Runs of the same algorithm in the same environment count as seeds of one experiment: thin lines are seeds, the thick
    one is their mean with its 95% interval, as far as all seeds have data.

    Args:
        runs: folders of runs, and folders that hold such at any depth.
        out: the file: .png, .pdf, .svg, ...; curves.png in the first folder if it isn't given.
        metric: a column of progress.csv; the return of evaluations if it isn't given, or what comes nearest to it.
        x: over what to draw: step (env steps; epochs of BC), seconds, or both side by side.
        x_scale: linear, log, or auto: log in panels where an algorithm goes on ten times as long as another.
        smooth: rows of progress.csv in a running mean; 1 is none.
        whole: also show returns far below a random policy's, which are cut off otherwise.
        show: also open a window.
    """
    from ilpyt.plots import plot_runs

    print(plot_runs(runs, out, metric=metric, x=x, x_scale=x_scale, smooth=smooth, whole=whole, show=show))
