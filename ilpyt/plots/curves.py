"""Curves of several runs made into one: a mean over runs, and a running mean over rows."""

from collections.abc import Sequence

import numpy as np

RESAMPLES = 2000  # of a bootstrap
MOST_POINTS = 500  # that a mean is computed at; a figure has no room for more

Curve = tuple[np.ndarray, np.ndarray]  # x and y, float64 [rows] each, x ascending


def running_mean(values: np.ndarray, rows: int) -> np.ndarray:
    """The mean of each value and those before it, `rows` of them where there are as many, [n] -> [n]."""
    if rows == 1:
        return values
    sums = np.cumsum(np.concatenate([[0.0], values]))
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(ends - rows, 0)
    return (sums[ends] - sums[starts]) / (ends - starts)


def average(curves: Sequence[Curve]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The mean over runs with its 95% bootstrap interval, where all runs have data.

    Runs are interpolated linearly between their rows, and never continued: the mean goes from where the last of them
    begins to where the first of them ends. Runs that reach their goal end early; a mean of those that are left would
    be one of the worse runs, and one with their last values held would be made up.

    The interval is of the mean, when runs are drawn again from those there are. Of two or three runs it is about their
    range, which the true mean may well lie outside of.

    Returns:
        x, mean, low, high: float64 [points] each, at the runs' own x (at most 500 of them); empty if the runs have no
        x in common.
    """
    begin, end = max(x[0] for x, _ in curves), min(x[-1] for x, _ in curves)
    grid = np.unique(np.concatenate([x for x, _ in curves]))
    grid = grid[(grid >= begin) & (grid <= end)]
    if len(grid) > MOST_POINTS:
        grid = grid[np.linspace(0, len(grid) - 1, MOST_POINTS).round().astype(int)]
    if not len(grid):
        return grid, grid, grid, grid
    values = np.stack([np.interp(grid, x, y) for x, y in curves])
    drawn = np.random.default_rng(0).integers(len(curves), size=(RESAMPLES, len(curves)))
    shares = (drawn[:, :, None] == np.arange(len(curves))).mean(axis=1)
    low, high = np.quantile(shares @ values, [0.025, 0.975], axis=0)
    return grid, values.mean(axis=0), low, high
