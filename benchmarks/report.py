"""What `table1.py` makes of its results: Markdown tables, learning curves, the model zoo."""

import json
import shutil
from collections import defaultdict
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from cell import BASELINES
from matplotlib.figure import Figure

from ilpyt.presets import PAPER_ENVS, SETTINGS
from ilpyt.utils.checkpoint import atomic_write

ROOT = Path(__file__).parents[1]
PUBLISHED = ROOT / "benchmarks" / "results" / "table1"
ZOO = ROOT / "model_zoo"
DOCS = ROOT / "docs"
IMITATION = ("BC", "DAgger", "GAIL", "GCL", "AppL")
MARKS = ("<!-- table1 -->", "<!-- /table1 -->")  # what lies between them in README.md is written here
RESAMPLES = 10_000
SLOW = 300  # seconds of training over which a cell has to say why
Result = dict[str, Any]
Cells = dict[tuple[str, str], list[Result]]


def read(out: Path) -> Cells:
    """All results in a folder, by algorithm and environment, in the order of their seeds."""
    cells: Cells = defaultdict(list)
    for path in sorted(out.glob("*/*/seed_*/result.json")):
        result = json.loads(path.read_text())
        cells[result["algo"], result["env_id"]].append({**result, "folder": path.parent})
    if not cells:
        raise SystemExit(f"{out} has no results; run `python benchmarks/table1.py` first, or choose another --out")
    return {cell: sorted(results, key=lambda result: result["seed"]) for cell, results in cells.items()}


def mean(results: list[Result]) -> float:
    """Over training seeds, of the mean over test episodes."""
    return float(np.mean([result["mean"] for result in results]))


def median_seed(results: list[Result]) -> Result:
    """The run in the middle by its mean; of an even number, the lower one."""
    return sorted(results, key=lambda result: result["mean"])[(len(results) - 1) // 2]


def goal(algo: str, env_id: str, expert: float) -> float:
    """What a cell is held to: the threshold; where the paper has a number, RL also to that, and imitation to 3% under
    the lesser of it and the expert's mean on the same episodes.
    """
    known = PAPER_ENVS[env_id]
    if algo not in known.paper:
        return known.threshold
    lesser = min(known.paper[algo][0], expert)
    return max(known.threshold, lesser - 0.03 * abs(lesser) if algo in IMITATION else known.paper[algo][0])


def bootstrap(scores: list[np.ndarray], statistic: Any) -> tuple[float, float]:
    """95% percentile interval of a statistic of all scores, seeds being drawn again within each group."""
    rng = np.random.default_rng(0)
    drawn = [group[rng.integers(len(group), size=(RESAMPLES, len(group)))] for group in scores]
    low, high = np.quantile(statistic(np.concatenate(drawn, axis=1)), [0.025, 0.975])
    return float(low), float(high)


def interquartile_mean(scores: np.ndarray) -> np.ndarray:
    """Mean of the middle half of the last axis (Agarwal et al. 2021)."""
    scores = np.sort(scores, axis=-1)
    cut = scores.shape[-1] // 4
    return np.mean(scores[..., cut : scores.shape[-1] - cut], axis=-1)


def normalised(cells: Cells, algo: str) -> list[np.ndarray]:
    """Scores of an algorithm's runs, one group an environment: 0 is the random policy, 1 the expert."""
    groups = []
    for env_id in PAPER_ENVS:
        if (algo, env_id) in cells:
            low, high = (mean(cells[baseline, env_id]) for baseline in BASELINES)
            groups.append(np.array([(result["mean"] - low) / (high - low) for result in cells[algo, env_id]]))
    return groups


def matrix(cells: Cells) -> str:
    """Table 1: a row an environment, a column an algorithm; the paper's number in parentheses."""
    algos = [algo for algo in ("Expert", *SETTINGS) if any(name == algo for name, _ in cells)]
    lines = [row("environment", "solved at", *algos), row(*["---"] * (len(algos) + 2))]
    for env_id, known in PAPER_ENVS.items():
        texts = []
        for algo in algos:
            results = cells.get((algo, env_id))
            paper = f"{known.paper[algo][0]:.2f}" if algo in known.paper else "-"
            own = f"**{mean(results):.2f}**" if results else "-"
            texts.append(f"{own} ({paper})")
        lines.append(row(env_id, f"{known.threshold:.0f}", *texts))
    return "\n".join(lines)


def details(cells: Cells) -> str:
    """A row a cell: seeds, interval, the paper's format, what it took."""
    columns = (
        "environment", "algorithm", "mean", "95% interval", "seeds", "as the paper writes it", "the paper", "solved",
        "goal", "env steps", "updates", "seconds", "memory, MB",
    )  # fmt: skip
    lines = [row(*columns), row(*["---"] * len(columns))]
    for env_id, known in PAPER_ENVS.items():
        for algo in SETTINGS:
            results = cells.get((algo, env_id))
            if not results:
                continue
            score = mean(results)
            interval = bootstrap([np.array([r["mean"] for r in results])], lambda s: s.mean(axis=-1))
            middle = median_seed(results)
            wanted = goal(algo, env_id, mean(cells["Expert", env_id]))
            lines.append(
                row(
                    env_id,
                    algo,
                    f"**{score:.2f}**",
                    f"{interval[0]:.2f} to {interval[1]:.2f}",
                    ", ".join(f"{r['mean']:.2f}" for r in results),
                    f"{middle['mean']:.2f} ± {middle['std']:.2f}",
                    f"{known.paper[algo][0]:.2f} ± {known.paper[algo][1]:.2f}" if algo in known.paper else "-",
                    "yes" if score >= known.threshold else "**no**",
                    f"{wanted:.2f}" + ("" if score >= wanted else ", **missed**"),
                    spread([r["env_steps"] for r in results]),
                    spread([r["updates"] for r in results]),
                    spread([r["seconds"] for r in results]),
                    spread([r["peak_memory_mb"] for r in results]),
                )
            )
    return "\n".join(lines)


def summary(cells: Cells) -> str:
    """A row an algorithm: interquartile mean of normalised scores, cells solved, minutes of one seed of all."""
    columns = ("algorithm", "interquartile mean", "95% interval", "solved", "minutes, one seed of all environments")
    lines = [row(*columns), row(*["---"] * len(columns))]
    for algo in SETTINGS:
        mine = {env_id: cells[algo, env_id] for env_id in PAPER_ENVS if (algo, env_id) in cells}
        if not mine:
            continue
        groups = normalised(cells, algo)
        low, high = bootstrap(groups, interquartile_mean)
        solved = sum(mean(results) >= PAPER_ENVS[env_id].threshold for env_id, results in mine.items())
        minutes = sum(np.mean([r["seconds"] + r["test_seconds"] for r in results]) for results in mine.values()) / 60
        iqm = f"{interquartile_mean(np.concatenate(groups)):.3f}"
        lines.append(row(algo, iqm, f"{low:.3f} to {high:.3f}", f"{solved} of {len(mine)}", f"{minutes:.1f}"))
    return "\n".join(lines)


def stop_rules() -> str:
    """A row a cell: when training ends."""
    columns = ("environment", "algorithm", "mean return that ends it", "of how many validation episodes", "at most")
    lines = [row(*columns), row(*["---"] * len(columns))]
    for env_id in PAPER_ENVS:
        for algo, settings in SETTINGS.items():
            train = settings[env_id].train
            unit = {"BC": "epochs", "DAgger": "iterations", "AppL": "iterations"}.get(algo, "env steps")
            most = train.get("num_steps") or train.get("num_epochs" if algo == "BC" else "num_episodes")
            until, episodes = train.get("until"), train.get("eval_episodes", train.get("evaluation_episodes"))
            lines.append(
                row(env_id, algo, *(("-", "-") if until is None else (str(until), str(episodes))), f"{most:,} {unit}")
            )
    return "\n".join(lines)


def row(*texts: str) -> str:
    """A row of a Markdown table."""
    return f"| {' | '.join(texts)} |"


def spread(values: list[float]) -> str:
    """One number, or from the least to the greatest."""
    low, high = f"{min(values):,.0f}", f"{max(values):,.0f}"
    return low if low == high else f"{low} to {high}"


def draw_curves(cells: Cells, path: Path) -> None:
    """Evaluations in training by env steps, a panel an environment, imitation above reinforcement learning."""
    curves = {
        cell: [r["evaluations"] for r in results if r.get("evaluations")]
        for cell, results in cells.items()
        if cell[0] in SETTINGS
    }
    groups = [IMITATION, [algo for algo in SETTINGS if algo not in IMITATION]]
    colors = dict(zip(SETTINGS, matplotlib.colormaps["tab10"].colors, strict=False))
    figure = Figure(figsize=(4 * len(PAPER_ENVS), 6.4), layout="tight")
    axes = figure.subplots(2, len(PAPER_ENVS))
    for axis_row, algos in zip(axes, groups, strict=True):
        for axis, (env_id, known) in zip(axis_row, PAPER_ENVS.items(), strict=True):
            for algo in algos:
                for k, curve in enumerate(curves.get((algo, env_id), [])):
                    steps, _, returns = zip(*curve, strict=True)
                    label = algo if k == 0 else None
                    axis.plot(steps, returns, color=colors[algo], lw=1.2, marker=".", ms=3, alpha=0.8, label=label)
            axis.axhline(known.threshold, color="black", lw=0.8, ls="--")
            if ("Expert", env_id) in cells:
                axis.axhline(mean(cells["Expert", env_id]), color="black", lw=0.8, ls=":")
            axis.set(xscale="log", xlabel="env steps")
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
    algos = [algo for algo in SETTINGS if normalised(cells, algo)]
    figure = Figure(figsize=(7, 0.4 * len(algos) + 1), layout="tight")
    axis = figure.subplots()
    for y, algo in enumerate(reversed(algos)):
        groups = normalised(cells, algo)
        low, high = bootstrap(groups, interquartile_mean)
        axis.barh(y, high - low, left=low, height=0.5, color="tab:blue", alpha=0.4)
        axis.plot([interquartile_mean(np.concatenate(groups))] * 2, [y - 0.25, y + 0.25], color="black")
    axis.axvline(1, color="black", lw=0.8, ls=":")
    axis.set(yticks=range(len(algos)), yticklabels=algos[::-1])
    axis.set_xlabel("interquartile mean of normalised scores (0: random policy, 1: expert)")
    axis.grid(alpha=0.2, axis="x")
    figure.savefig(path, dpi=100)


def write_report(out: Path) -> None:
    """Tables and curves of the results in a folder, into `docs/`."""
    cells = read(out)
    (DOCS / "figures").mkdir(parents=True, exist_ok=True)
    draw_curves(cells, DOCS / "figures" / "table1_curves.png")
    draw_summary(cells, DOCS / "figures" / "table1_summary.png")
    seeds = sorted({result["seed"] for (algo, _), results in cells.items() if algo in SETTINGS for result in results})
    versions = next(r["config"]["versions"] for results in cells.values() for r in results if "config" in r)
    text = TEXT.format(
        matrix=matrix(cells),
        details=details(cells),
        summary=summary(cells),
        stop_rules=stop_rules(),
        slow=slow(cells),
        seeds=", ".join(map(str, seeds)),
        versions=", ".join(f"{name} {version}" for name, version in versions.items()),
    )
    (DOCS / "table1.md").write_text(text)
    print(f"{matrix(cells)}\n\n{summary(cells)}\n\nWritten to docs/table1.md and docs/figures/.")


def slow(cells: Cells) -> str:
    """The cells that take over five minutes, and why."""
    lines = []
    for cell, results in cells.items():
        seconds = [r["seconds"] for r in results if "seconds" in r]
        if seconds and max(seconds) > SLOW:
            lines.append(f"- {cell[0]} on {cell[1]} ({spread(seconds)} s): {WHY_SLOW.get(cell, 'not looked into.')}")
    return "\n".join(lines) or "None."


def publish(out: Path) -> None:
    """Copy results, and of each cell the median seed's weights, into the repository; write README's table."""
    cells = read(out)
    for (algo, env_id), results in cells.items():
        for result in results:
            folder = PUBLISHED / algo / env_id / f"seed_{result['seed']}"
            folder.mkdir(parents=True, exist_ok=True)
            _write_json(folder / "result.json", result)
        if algo in SETTINGS:
            _publish_weights(median_seed(results), ZOO / algo / env_id)
    readme = ROOT / "README.md"
    before, rest = readme.read_text().split(MARKS[0])
    after = rest.split(MARKS[1])[1]
    readme.write_text(f"{before}{MARKS[0]}\n{matrix(cells)}\n{MARKS[1]}{after}")


def _publish_weights(result: Result, target: Path) -> None:
    """The last weights of a run, and its result as their card, in the place of what was there."""
    weights = list(result["folder"].glob("*.pth"))
    if not weights:
        raise SystemExit(f"{result['folder']} has no weights; publish from the folder that was trained in")
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    last = max(int(file.stem.rpartition("_")[2]) for file in weights)
    for file in result["folder"].glob(f"*_{last}.pth"):
        shutil.copy(file, target)
    _write_json(target / "card.json", result)


def _write_json(path: Path, result: Result) -> None:
    """A line a key, so that a change can be read."""
    lines = (f" {json.dumps(key)}: {json.dumps(value)}" for key, value in result.items() if key != "folder")
    with atomic_write(path) as file:
        file.write(("{\n" + ",\n".join(lines) + "\n}\n").encode())


WHY_SLOW: dict[tuple[str, str], str] = {}

TEXT = """# Table 1

The paper's Table 1, reproduced and filled: every algorithm on every environment, by one command.

```bash
python benchmarks/table1.py --seeds 0 1 2     # go on where it was interrupted: the same command
python benchmarks/table1.py --report          # this page, from its results
```

Each run trains with the preset in [`ilpyt/presets`](../ilpyt/presets), and then plays 100 test episodes, which are the
same for all and are neither trained nor tuned on. Imitation learns from the 100 episodes in [`demos`](../demos) (DAgger
asks the scripted expert instead), and never from the environment's rewards. Training seeds: {seeds}. DQN acts on a grid
where actions are continuous. Versions: {versions}. Each number has its file in
[`benchmarks/results/table1`](../benchmarks/results/table1), with all 100 returns; the agents of the median seeds are in
[`model_zoo`](../model_zoo).

In each cell: the mean over training seeds of the mean return of the test episodes, and the paper's number in
parentheses.

{matrix}

## Learning curves

Mean returns of the evaluations in training, on validation episodes; a line a seed. Dashed: solved. Dotted: the expert.
BC isn't evaluated in training.

![learning curves](figures/table1_curves.png)

## By algorithm

Scores are normalised, so that 0 is the random policy and 1 the scripted expert, both on the same test episodes. The
interquartile mean is that of the middle half of an algorithm's runs on all environments, its interval a bootstrap over
the seeds within each environment (Agarwal et al. 2021, *Deep Reinforcement Learning at the Edge of the Statistical
Precipice*).

{summary}

![interquartile means](figures/table1_summary.png)

## By cell

*As the paper writes it*: mean and standard deviation over the test episodes of one agent, here of the median seed.
*Interval*: bootstrap over training seeds; three of them can't say much. *Goal*: the threshold; where the paper has a
number also that number (reinforcement learning), or 3% under the lesser of it and the expert's mean on the same
episodes (imitation). Seconds are of training, its evaluations included, in one process on one core, with another run on
the other core. Memory is the process's peak, about 300 MB of which PyTorch takes when it is imported.

{details}

## When training ends

A run ends as soon as the mean return of an evaluation reaches the number below, and keeps the weights of its best
evaluation. Evaluations are played on validation episodes, whose seeds are never those of test episodes. BC and DAgger
look at no return: they keep the weights with the least loss against the expert on held-out episodes. AppL on CartPole
keeps the policy whose feature expectations are closest to the expert's.

{stop_rules}

## Over five minutes

{slow}
"""
