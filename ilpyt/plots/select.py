"""Which metric of which runs is drawn."""

import difflib
import logging
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from ilpyt.plots.runs import Run
from ilpyt.utils.errors import DataError

log = logging.getLogger(__name__)

PREFERRED = ("evaluation/return", "episode/return", "validation_loss", "loss")


def choose_metric(runs: Sequence[Run], metric: str | None = None) -> str:
    """The metric to draw; for the default see `plot_runs`.

    Raises:
        DataError: no run has it; the message has the nearest names, and all there are.
    """
    known = sorted({name for run in runs for name in run.metrics})
    if metric is None:
        for has in (all, any):
            for name in PREFERRED:
                if has(name in run.metrics for run in runs):
                    return name
        raise DataError(f"say which metric to draw; there are {', '.join(known) or 'none yet'}")
    if metric not in known:
        near = difflib.get_close_matches(metric, known, cutoff=0.5)
        meant = f"did you mean {' or '.join(near)}? " if near else ""
        raise DataError(f"no run has the metric {metric!r}; {meant}there are {', '.join(known) or 'none yet'}")
    return metric


def having(metric: str, runs: Sequence[Run]) -> list[Run]:
    """The runs that have a metric; a warning an algorithm of those that don't."""
    lacking = defaultdict(list)
    for run in runs:
        if metric not in run.metrics:
            lacking[run.algorithm].append(run)
    for algorithm, those in lacking.items():
        which = f"{those[0].folder}" + (f" and {len(those) - 1} more runs" if len(those) > 1 else "")
        there = ", ".join(those[0].metrics) or "no metric yet"
        log.warning("left out: %s of %s, which has no %s, but %s", which, algorithm, metric, there)
    return [run for run in runs if metric in run.metrics]


def warn_of_differences(runs: Sequence[Run]) -> None:
    """Say where runs that count as seeds of one experiment were asked for different things."""
    from ilpyt.algos.run_folder import differences  # imports torch

    first: dict[tuple[str, str], Run] = {}
    for run in runs:
        key = run.algorithm, paper_name(run.env_id)
        model = first.setdefault(key, run)
        its, own = (_asked_for(each.config) for each in (run, model))
        if run is not model and its["seed"] == own["seed"] is not None:
            log.warning(
                "%s counts as another seed than %s, but has the seed %s too", run.folder, model.folder, own["seed"]
            )
        if texts := differences({**its, "seed": None}, {**own, "seed": None}):
            more = f" and {len(texts) - 1} more" if len(texts) > 1 else ""
            log.warning("%s counts as a seed like %s, but has %s%s", run.folder, model.folder, texts[0], more)


def _asked_for(config: dict[str, Any]) -> dict[str, Any]:
    """What makes two runs comparable, and the seed, if the run says it."""
    env, recipe = config.get("env") or {}, config.get("recipe") or {}
    made_with = {name: env.get(name) for name in ("make_kwargs", "wrappers")}
    return {**{name: config.get(name) for name in ("agent", "nets", "train")}, **made_with, "seed": recipe.get("seed")}


def paper_name(env_id: str) -> str:
    """The name that the paper has for an environment, or its own."""
    from ilpyt.envs.build import SUCCESSORS

    return {new: old for old, new in SUCCESSORS.items()}.get(env_id, env_id)
