"""Learning curves of runs, drawn with matplotlib: `plot_runs`.

`read_runs` reads what runs have logged, `average` makes one curve of several, `draw_runs` draws into a figure of yours.
"""

from ilpyt.plots.average import average
from ilpyt.plots.draw import draw_runs
from ilpyt.plots.plot import plot_runs
from ilpyt.plots.runs import Run, read_run, read_runs
from ilpyt.plots.select import choose_metric

__all__ = ["Run", "average", "choose_metric", "draw_runs", "plot_runs", "read_run", "read_runs"]
