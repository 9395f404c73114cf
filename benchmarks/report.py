"""The tables and figures of Table 1's report, from the results of its runs."""

import json
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from cell import BASELINES
from goals import goal, is_rl
from matplotlib.figure import Figure

from ilpyt.plots.draw import COLORS, EXPERT, GOAL_STYLES, THRESHOLD
from ilpyt.presets import PAPER_ENVS, SETTINGS

TEXT = Path(__file__).with_name("report.md.in")
RESAMPLES = 10_000  # of a bootstrap
SLOW = 300  # seconds of training over which a cell has to say why
WHY_SLOW = {
    (
        "DQN",
        "LunarLander-v2",
    ): "asked for 288, the paper's 281.96 and a margin, it trains on to the end of its 500,000 env "
    "steps, with a gradient update every fourth.",
    (
        "DQN",
        "LunarLanderContinuous-v2",
    ): "the settings of LunarLander-v2; it is over 270 after about 150,000 env steps.",
    ("A2C", "LunarLander-v2"): "an update takes 128 env steps that are used once, so it needs about a million of them.",
    ("A2C", "LunarLanderContinuous-v2"): "as on LunarLander-v2, with up to two million env steps.",
    (
        "AppL",
        "LunarLander-v2",
    ): "up to 80 policies, each evaluated on 100 episodes of up to 1,000 env steps while it hovers.",
    (
        "AppL",
        "LunarLanderContinuous-v2",
    ): "up to 40 policies, each evaluated on 100 episodes of up to 1,000 env steps while it hovers.",
}
Result = dict[str, Any]
Cells = dict[tuple[str, str], list[Result]]


def read(out: Path) -> Cells:
    """All results in a folder, by algorithm and environment, in the order of their seeds.

    Raises:
        SystemExit: there are none, or the baselines that they are compared with are missing.
    """
    cells: Cells = defaultdict(list)
    for path in sorted(out.glob("*/*/seed_*/result.json")):
        result = json.loads(path.read_text())
        cells[result["algo"], result["env_id"]].append({**result, "folder": path.parent})
    env_ids = {env_id for algo, env_id in cells if algo in SETTINGS}
    if not env_ids:
        raise SystemExit(f"{out} has no results; run `python benchmarks/table1.py` first, or choose another --out")
    for env_id in env_ids:
        if missing := [algo for algo in BASELINES if (algo, env_id) not in cells]:
            raise SystemExit(
                f"{out} has no results of {' and '.join(missing)} in {env_id}: "
                f"`python benchmarks/table1.py --algo {' '.join(missing)} --env {env_id}` makes them"
            )
    return {cell: sorted(results, key=lambda result: result["seed"]) for cell, results in cells.items()}


def mean_score(results: list[Result]) -> float:
    """Mean over training seeds of the mean over test episodes."""
    return float(np.mean([result["mean"] for result in results]))


def median_seed(results: list[Result]) -> Result:
    """The run in the middle by its mean; of an even number, the lower one."""
    return sorted(results, key=lambda result: result["mean"])[(len(results) - 1) // 2]


def bootstrap(groups: list[np.ndarray], statistic: Callable[[np.ndarray], np.ndarray]) -> str:
    """95% percentile interval of a statistic of all scores, seeds being drawn again within each group.

    Args:
        groups: float [seeds] each.
        statistic: from float [R, scores], a row a resample, to float [R].

    Returns:
        "low to high"; "-" if no group has more than one seed.
    """
    if all(len(group) < 2 for group in groups):
        return "-"
    low, high = interval(groups, statistic)
    digits = 3 if abs(high) < 10 else 2
    return f"{low:.{digits}f} to {high:.{digits}f}"


def interval(groups: list[np.ndarray], statistic: Callable[[np.ndarray], np.ndarray]) -> tuple[float, float]:
    """The ends of `bootstrap`'s interval."""
    rng = np.random.default_rng(0)
    drawn = [group[rng.integers(len(group), size=(RESAMPLES, len(group)))] for group in groups]
    low, high = np.quantile(statistic(np.concatenate(drawn, axis=1)), [0.025, 0.975])
    return float(low), float(high)


def interquartile_mean(scores: np.ndarray) -> np.ndarray:
    """Mean of the middle half of the last axis, [..., n] -> [...] (Agarwal et al. 2021)."""
    scores = np.sort(scores, axis=-1)
    cut = scores.shape[-1] // 4
    return np.mean(scores[..., cut : scores.shape[-1] - cut], axis=-1)


def normalised_scores(cells: Cells, algo: str) -> list[np.ndarray]:
    """Scores [seeds] of an algorithm in each environment: 0 is the random policy, 1 the expert."""
    groups = []
    for env_id in PAPER_ENVS:
        if (algo, env_id) in cells:
            low, high = (mean_score(cells[baseline, env_id]) for baseline in BASELINES)
            groups.append(np.array([(result["mean"] - low) / (high - low) for result in cells[algo, env_id]]))
    return groups


def matrix(cells: Cells) -> str:
    """Table 1: a row an environment, a column an algorithm; the paper's number in parentheses."""
    algos = [algo for algo in ("Expert", *SETTINGS) if any(name == algo for name, _ in cells)]
    rows = []
    for env_id, known in PAPER_ENVS.items():
        texts = []
        for algo in algos:
            results = cells.get((algo, env_id))
            paper = f"{known.paper[algo][0]:.2f}" if algo in known.paper else "-"
            own = f"**{mean_score(results):.2f}**" if results else "-"
            texts.append(f"{own} ({paper})")
        rows.append([env_id, f"{known.threshold:.0f}", *texts])
    return markdown(["environment", "solved at", *algos], rows)


def details(cells: Cells) -> str:
    """A row a cell: seeds, interval, the paper's format, what it took."""
    columns = [
        "environment", "algorithm", "mean", "95% interval", "seeds", "as the paper writes it", "the paper", "solved",
        "goal", "env steps", "gradient updates", "seconds", "memory, MB",
    ]  # fmt: skip
    rows = []
    for env_id, known in PAPER_ENVS.items():
        for algo in SETTINGS:
            results = cells.get((algo, env_id))
            if not results:
                continue
            score, middle = mean_score(results), median_seed(results)
            wanted = goal(algo, env_id, mean_score(cells["Expert", env_id]))
            rows.append(
                [
                    env_id,
                    algo,
                    f"**{score:.2f}**",
                    bootstrap([np.array([r["mean"] for r in results])], lambda scores: scores.mean(axis=-1)),
                    ", ".join(f"{r['mean']:.2f}" for r in results),
                    f"{middle['mean']:.2f} ± {middle['std']:.2f}",
                    f"{known.paper[algo][0]:.2f} ± {known.paper[algo][1]:.2f}" if algo in known.paper else "-",
                    "yes" if score >= known.threshold else "**no**",
                    f"{wanted:.2f}" + ("" if score >= wanted else ", **missed**"),
                    *(spread([r[key] for r in results]) for key in ("env_steps", "updates", "seconds")),
                    spread([r["peak_memory_mb"] for r in results]),
                ]
            )
    return markdown(columns, rows)


def summary(cells: Cells) -> str:
    """A row an algorithm: interquartile mean of normalised scores, cells solved, minutes of a seed."""
    rows = []
    for algo in SETTINGS:
        mine = {env_id: cells[algo, env_id] for env_id in PAPER_ENVS if (algo, env_id) in cells}
        if mine:
            groups = normalised_scores(cells, algo)
            solved = sum(mean_score(results) >= PAPER_ENVS[env_id].threshold for env_id, results in mine.items())
            minutes = sum(np.mean([r["seconds"] for r in results]) for results in mine.values()) / 60
            iqm = f"{interquartile_mean(np.concatenate(groups)):.3f}"
            interval_of_it = bootstrap(groups, interquartile_mean)
            rows.append([algo, iqm, interval_of_it, f"{solved} of {len(mine)}", f"{minutes:.1f}"])
    return markdown(["algorithm", "interquartile mean", "95% interval", "solved", "minutes of training, a seed"], rows)


def stop_rules() -> str:
    """A row a cell: when training ends."""
    columns = ["environment", "algorithm", "mean return that ends it", "over validation episodes", "every", "at most"]
    rows = []
    for env_id in PAPER_ENVS:
        for algo, settings in SETTINGS.items():
            train = settings[env_id].train
            unit = {"BC": "epochs", "DAgger": "iterations", "AppL": "iterations"}.get(algo, "env steps")
            most = train.get("num_steps") or train.get("num_epochs" if algo == "BC" else "num_episodes")
            until, episodes = train.get("until"), train.get("eval_episodes", train.get("evaluation_episodes"))
            every = f"{train['eval_interval']:,} env steps" if "eval_interval" in train else "iteration"
            rule = ("-", "-", "-") if until is None else (str(until), str(episodes), every)
            rows.append([env_id, algo, *rule, f"{most:,} {unit}"])
    return markdown(columns, rows)


def slow_cells(cells: Cells) -> str:
    """The cells that take over five minutes, and why."""
    lines = []
    for cell, results in cells.items():
        seconds = [r["seconds"] for r in results if "seconds" in r]
        if seconds and max(seconds) > SLOW:
            lines.append(f"- {cell[0]} on {cell[1]} ({spread(seconds)} s): {WHY_SLOW.get(cell, 'not looked into.')}")
    return "\n".join(lines) or "None."


def markdown(columns: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    return "\n".join(f"| {' | '.join(texts)} |" for texts in [columns, ["---"] * len(columns), *rows])


def spread(values: list[float]) -> str:
    """One number, or from the least to the greatest."""
    low, high = f"{min(values):,.0f}", f"{max(values):,.0f}"
    return low if low == high else f"{low} to {high}"


def draw_curves(cells: Cells, path: Path) -> None:
    """Evaluations in training by env steps, a panel an environment, imitation above reinforcement learning."""
    figure = Figure(figsize=(4 * len(PAPER_ENVS), 6.4), layout="tight")
    axes = figure.subplots(2, len(PAPER_ENVS))
    for axis_row, wants_rl in zip(axes, (False, True), strict=True):
        for axis, (env_id, known) in zip(axis_row, PAPER_ENVS.items(), strict=True):
            for algo in (algo for algo in SETTINGS if is_rl(algo) == wants_rl):
                curves = [r["evaluations"] for r in cells.get((algo, env_id), []) if r["evaluations"]]
                for k, curve in enumerate(curves):
                    steps, _, returns = zip(*curve, strict=True)
                    label = algo if k == 0 else None
                    axis.plot(steps, returns, color=COLORS[algo], lw=1.2, marker=".", ms=3, alpha=0.8, label=label)
            axis.axhline(known.threshold, **GOAL_STYLES[THRESHOLD])
            if ("Expert", env_id) in cells:
                low, high = (mean_score(cells[baseline, env_id]) for baseline in BASELINES)
                axis.axhline(high, **GOAL_STYLES[EXPERT])
                axis.set_ylim(low - 0.05 * (high - low), high + 0.1 * (high - low))  # what is below random is cut
            axis.set(xscale="log", xlabel="env steps")
            axis.tick_params(axis="x", which="minor", labelbottom=False)
            axis.grid(alpha=0.2)
            if axis.get_legend_handles_labels()[0]:
                axis.legend(fontsize=8, loc="lower right")
    for axis, env_id in zip(axes[0], PAPER_ENVS, strict=True):
        axis.set_title(env_id)
    for axis in axes[:, 0]:
        axis.set_ylabel("mean return of an evaluation")
    figure.savefig(path, dpi=80)


def draw_summary(cells: Cells, path: Path) -> None:
    """Interquartile means with their intervals, an algorithm a row."""
    algos = [algo for algo in SETTINGS if normalised_scores(cells, algo)]
    figure = Figure(figsize=(7, 0.4 * len(algos) + 1), layout="tight")
    axis = figure.subplots()
    for y, algo in enumerate(reversed(algos)):
        groups = normalised_scores(cells, algo)
        low, high = interval(groups, interquartile_mean)
        axis.barh(y, high - low, left=low, height=0.5, color="tab:blue", alpha=0.4)
        axis.plot([interquartile_mean(np.concatenate(groups))] * 2, [y - 0.25, y + 0.25], color="black")
    axis.use_sticky_edges = False  # room at both ends
    axis.autoscale_view()
    axis.axvline(1, color="black", lw=0.8, ls=":")
    axis.set(yticks=range(len(algos)), yticklabels=algos[::-1])
    axis.set_xlabel("interquartile mean of normalised scores (0: random policy, 1: expert)")
    axis.grid(alpha=0.2, axis="x")
    figure.savefig(path, dpi=100)


def write_report(out: Path, page: Path) -> None:
    """Write the report of a folder of results.

    Args:
        out: the folder; what its `notes.md` says, if there is one, goes into the report.
        page: the Markdown file; its figures lie in `figures/` beside it.
    """
    cells = read(out)
    figures = page.parent / "figures"
    figures.mkdir(parents=True, exist_ok=True)
    draw_curves(cells, figures / "table1_curves.png")
    draw_summary(cells, figures / "table1_summary.png")
    trained = [result for (algo, _), results in cells.items() if algo in SETTINGS for result in results]
    versions = sorted({", ".join(f"{k} {v}" for k, v in result["versions"].items()) for result in trained})
    notes = out / "notes.md"
    page.write_text(
        TEXT.read_text().format(
            matrix=matrix(cells),
            details=details(cells),
            summary=summary(cells),
            stop_rules=stop_rules(),
            slow_cells=slow_cells(cells),
            notes=notes.read_text().strip() if notes.exists() else "",
            seeds=", ".join(map(str, sorted({result["seed"] for result in trained}))),
            versions="; or ".join(versions),
            machines="; or ".join(sorted({"{cores} cores, {processor}".format(**r["machine"]) for r in trained})),
        )
    )
    print(f"{matrix(cells)}\n\n{summary(cells)}\n\nWritten to {page} and {figures}.")
