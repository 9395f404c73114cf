"""Learning curves in a figure of matplotlib's."""

import math
from collections import defaultdict
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ilpyt.plots.curves import Curve, average
from ilpyt.plots.options import Options, XAxis
from ilpyt.plots.runs import ENV_STEPS, EPOCHS, Run
from ilpyt.plots.select import choose_metric, having, paper_name, warn_of_differences
from ilpyt.utils.errors import DataError
from ilpyt.utils.extras import require

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Apart by at least 18 units of CIELAB for normal, red-blind and green-blind eyes: those of Okabe and Ito, with brown
# for their yellow, which is hardly seen on white.
COLORS = {
    "BC": "#000000", "DAgger": "#E69F00", "GAIL": "#0072B2", "GCL": "#009E73", "AppL": "#CC79A7",
    "DQN": "#D55E00", "A2C": "#56B4E9", "PPO": "#661100",
}  # fmt: skip
OTHER_COLORS = ("#999933", "#44AA99", "#777777")  # of algorithms that aren't ilpyt's, by name
LABELS = {
    "evaluation/return": "mean return of an evaluation",
    "episode/return": "mean return of the last\n100 training episodes",
    "validation_loss": "loss on held-out data",
    "loss": "training loss",
}
THRESHOLD, EXPERT = "solved (the paper)", "scripted expert"
GOAL_STYLES: dict[str, dict[str, Any]] = {
    THRESHOLD: {"color": "0.25", "lw": 1, "ls": "--", "zorder": 1},
    EXPERT: {"color": "0.25", "lw": 1, "ls": ":", "zorder": 1},
}
DPI = 100
FEW = 30  # points of a curve, each of which is marked
FAR = 10  # times that a curve is as long as another one where an x axis becomes logarithmic


def draw_runs(figure: "Figure", runs: Sequence[Run], options: Options | None = None) -> "Figure":
    """Draw learning curves into an empty figure, whose size becomes what they need; see `plot_runs`.

    Returns:
        the figure.

    Raises:
        DataError: no run has the metric, or any of it at a known x.
    """
    options = options or Options()
    metric = choose_metric(runs, options.metric)
    runs = having(metric, runs)
    warn_of_differences(runs)
    colors, envs, columns = _colors(runs), _by_environment(runs), _columns(runs, options.x)
    grid = _grid(figure, len(envs), len(columns))
    panels = grid.flat
    for env_id, here in envs.items():
        for axis, unit in columns:
            panel = next(panels)
            shown = [run for run in here if unit in ("seconds", run.unit)]
            curves = _curves(shown, metric, axis, options.smooth)
            if not curves:
                panel.set_axis_off()
                continue
            panel.set_title(" / ".join(sorted({run.env_id for run in shown})), fontsize=10)
            _draw_curves(panel, curves, colors)
            if metric.endswith("return"):
                _draw_goals(panel, env_id, curves, options.whole)
            _draw_x(panel, unit, options.x_scale == "log" or (options.x_scale == "auto" and _is_far(curves)))
    for panel in panels:  # of a last row that isn't full
        panel.set_axis_off()
    smoothed = f",\nrunning mean of {options.smooth} rows" if options.smooth > 1 else ""
    first = [next((panel for panel in row if panel.axison), None) for row in grid]
    if not any(first):
        raise DataError(f"no row of any run has both {columns[0][0]} and {metric}")
    for panel in filter(None, first):
        panel.set_ylabel(LABELS.get(metric, metric) + smoothed)
    _draw_legend(figure, envs, colors)
    return figure


def _grid(figure: "Figure", num_envs: int, num_columns: int) -> Any:
    """Panels [rows, columns], a row an environment; if there is one column, two environments a row."""
    width = num_columns if num_columns > 1 else min(num_envs, 2)
    height = math.ceil(num_envs * num_columns / width)
    figure.set_layout_engine("constrained")
    figure.set_dpi(DPI)
    figure.set_size_inches(max(8, 4 * width), (2.6 if width > 1 else 3.8) * height + 0.9)
    return figure.subplots(height, width, squeeze=False)


def _colors(runs: Sequence[Run]) -> dict[str, str]:
    """A colour an algorithm, ilpyt's first, always in the same order."""
    names = {run.algorithm for run in runs}
    others = sorted(names - COLORS.keys())
    return {name: color for name, color in COLORS.items() if name in names} | {
        name: OTHER_COLORS[number % len(OTHER_COLORS)] for number, name in enumerate(others)
    }


def _columns(runs: Sequence[Run], x: XAxis) -> list[tuple[str, str]]:
    """The x axis of each column of panels: the column of `progress.csv`, and its unit."""
    units = sorted({run.unit for run in runs}, key=lambda unit: (unit != ENV_STEPS, unit != EPOCHS, unit))
    steps = [("step", unit) for unit in units]
    return {"step": steps, "seconds": [("seconds", "seconds")], "both": [*steps, ("seconds", "seconds")]}[x]


def _by_environment(runs: Sequence[Run]) -> dict[str, list[Run]]:
    """Runs by environment, the paper's first."""
    from ilpyt.presets import PAPER_ENVS  # imports torch

    groups = defaultdict(list)
    for run in runs:
        groups[paper_name(run.env_id)].append(run)
    order = [env_id for env_id in PAPER_ENVS if env_id in groups]
    return {env_id: groups[env_id] for env_id in [*order, *sorted(groups.keys() - set(order))]}


def _curves(runs: Sequence[Run], metric: str, axis: str, smooth: int) -> dict[str, list[Curve]]:
    """The curves of each algorithm that have a point; an algorithm without such a curve isn't there."""
    curves = defaultdict(list)
    for run in runs:
        x, y = run.curve(metric, axis, smooth)
        if len(x):
            curves[run.algorithm].append((x, y))
    return curves


def _draw_curves(panel: "Axes", curves: dict[str, list[Curve]], colors: dict[str, str]) -> None:
    """The seeds of each algorithm, and their mean; a single seed is drawn as it is, since a mean has fewer points."""
    panel.grid(alpha=0.2)
    for algorithm in sorted(curves, key=list(colors).index):  # the later above the earlier, as in the legend
        seeds, color = curves[algorithm], colors[algorithm]
        if len(seeds) > 1:
            for x, y in seeds:
                panel.plot(x, y, color=color, lw=0.7, alpha=0.45, **_marks(len(x), 3))
            x, y, low, high = average(seeds)
            panel.fill_between(x, low, high, color=color, alpha=0.18, lw=0, zorder=2)
        else:
            ((x, y),) = seeds
        panel.plot(x, y, color=color, lw=1.8, **_marks(len(x), 5), zorder=3)


def _marks(points: int, size: int) -> dict[str, Any]:
    return {"marker": ".", "ms": size} if points <= FEW else {}


def _draw_goals(panel: "Axes", env_id: str, curves: dict[str, list[Curve]], whole: bool) -> None:
    """Lines at the paper's threshold and at the expert's return, where they are known; room for what matters."""
    from ilpyt.presets import PAPER_ENVS

    known = PAPER_ENVS.get(env_id)
    if known is None:
        return
    panel.axhline(known.threshold, label=THRESHOLD, **GOAL_STYLES[THRESHOLD])
    panel.axhline(known.expert_return, label=EXPERT, **GOAL_STYLES[EXPERT])
    every = [y for seeds in curves.values() for _, y in seeds]
    lowest, highest = min(y.min() for y in every), max(known.expert_return, *(y.max() for y in every))
    bottom = min(known.random_return, *(y[-1] for y in every))
    if bottom - lowest > (highest - bottom) / 2 and not whole:
        margin = 0.05 * (highest - bottom)
        panel.set_ylim(bottom - margin, highest + margin)
        text = f"cut off: down to {lowest:,.0f}"
        panel.text(0.99, 0.02, text, transform=panel.transAxes, ha="right", va="bottom", fontsize=7)


def _is_far(curves: dict[str, list[Curve]]) -> bool:
    """Whether an algorithm goes on so much longer than another that linear axes hide one; a logarithmic one hides 0."""
    ends = [max(x[-1] for x, _ in seeds) for seeds in curves.values()]
    starts = [x[0] for seeds in curves.values() for x, _ in seeds]
    return min(starts) > 0 and max(ends) > FAR * min(ends)


def _draw_x(panel: "Axes", unit: str, is_log: bool) -> None:
    """The x axis: its name, scale and numbers."""
    panel.set_xlabel(unit)
    if is_log:
        panel.set_xscale("log")
        panel.tick_params(axis="x", which="minor", labelbottom=False)
    if unit == ENV_STEPS:
        panel.xaxis.set_major_formatter(require("matplotlib.ticker", "plot").EngFormatter(sep=""))


def _draw_legend(figure: "Figure", envs: dict[str, list[Run]], colors: dict[str, str]) -> None:
    """One for all panels, under them."""
    lines, patches = require("matplotlib.lines", "plot"), require("matplotlib.patches", "plot")
    handles: list[Any] = []
    has_several = False
    for algorithm, color in colors.items():
        counts = {sum(run.algorithm == algorithm for run in here) for here in envs.values()} - {0}
        low, high = min(counts), max(counts)
        has_several |= high > 1
        seeds = f"{low} to {high}" if low < high else str(low)
        label = f"{algorithm}, {seeds} seed{'s' if high > 1 else ''}"
        handles.append(lines.Line2D([], [], color=color, lw=1.8, label=label))
    if has_several:
        handles.append(lines.Line2D([], [], color="0.4", lw=0.7, label="thin: each seed"))
        handles.append(patches.Patch(color="0.4", alpha=0.25, lw=0, label="95% interval of the mean"))
    drawn = {line.get_label() for panel in figure.axes for line in panel.lines}
    handles += [lines.Line2D([], [], label=name, **style) for name, style in GOAL_STYLES.items() if name in drawn]
    columns = math.ceil(len(handles) / math.ceil(len(handles) / 4))
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, fontsize=9, frameon=False)
