"""The figures of docs/choosing.md: `python benchmarks/figures.py`, three minutes on one core.

`choosing_curves.png`: four algorithms with their presets in CartPole-v0, two seeds each. `choosing_demos.png`: clones
of 1 to 30 demonstrations of LunarLander-v2, three seeds each, beside Table 1's clones of all 100.
"""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure

from ilpyt.plots import plot_runs
from ilpyt.plots.draw import COLORS, DPI, EXPERT, GOAL_STYLES, THRESHOLD
from ilpyt.presets import PAPER_ENVS, SETTINGS, make_algorithm
from ilpyt.runners import Experiences

ROOT = Path(__file__).parents[1]
CURVES = ("DAgger", "GAIL", "GCL", "PPO")
LANDER = "LunarLander-v2"
COUNTS = (1, 3, 10, 30)  # demonstrations; Table 1 has 100


def train(algo: str, env_id: str, seed: int, folder: Path, **more: Any) -> list[float]:
    """Train by the preset, and by what else is said, and give the returns of the test episodes."""
    algorithm = make_algorithm(algo, env_id, seed, save_path=folder, progress=False)
    with algorithm.env:
        algorithm.train(**SETTINGS[algo][env_id].train, **more)
        return algorithm.test(100)


def draw_curves(out: Path, work: Path) -> None:
    """Learning curves over env steps; over seconds they would be another figure on each machine."""
    demos = ROOT / "demos/CartPole-v0/demos.pkl"
    learn_from = {"DAgger": {"expert": PAPER_ENVS["CartPole-v0"].expert()}, "PPO": {}}
    for algo in CURVES:
        for seed in (0, 1):
            train(algo, "CartPole-v0", seed, work / algo / str(seed), **learn_from.get(algo, {"expert_demos": demos}))
    plot_runs([work / algo for algo in CURVES], out, x="step")


def clone_some(count: int, seed: int, folder: Path) -> float:
    """The mean return of a clone of so many demonstrations, drawn by the seed."""
    episodes = Experiences.load(ROOT / "demos" / LANDER / "demos.pkl").episodes()
    some = Experiences()
    for k in np.random.default_rng(seed).choice(len(episodes), count, replace=False):
        part = episodes[k]
        some.add(part.states, part.actions, part.rewards, part.dones, part.truncated)
    mean = float(np.mean(train("BC", LANDER, seed, folder, expert_demos=some)))
    print(f"{count} demonstrations, seed {seed}: {mean:.2f}", flush=True)
    return mean


def draw_demos(out: Path, work: Path) -> None:
    """The clones' mean returns over the number of demonstrations."""
    figure = Figure(figsize=(8, 3.6), dpi=DPI, layout="constrained")
    panel = figure.subplots()
    means = {count: [clone_some(count, seed, work / f"{count}_{seed}") for seed in range(3)] for count in COUNTS}
    results = sorted((ROOT / "benchmarks/results/table1/BC" / LANDER).glob("seed_*/result.json"))
    means[100] = [json.loads(result.read_text())["mean"] for result in results]
    for count, values in means.items():
        panel.plot([count] * len(values), values, ".", color=COLORS["BC"], alpha=0.5)
    panel.plot(list(means), [np.mean(values) for values in means.values()], color=COLORS["BC"], lw=1.8, label="BC")
    panel.axhline(PAPER_ENVS[LANDER].threshold, label=THRESHOLD, **GOAL_STYLES[THRESHOLD])
    panel.axhline(PAPER_ENVS[LANDER].expert_return, label=EXPERT, **GOAL_STYLES[EXPERT])
    ticks = [1, 3, 10, 30, 100]
    panel.set_xscale("log")
    panel.set_xticks(ticks, list(map(str, ticks)))
    panel.minorticks_off()
    panel.grid(alpha=0.2)
    panel.set_title(LANDER, fontsize=10)
    panel.set_xlabel("demonstrations")
    panel.set_ylabel("mean return of\n100 test episodes")
    panel.legend(fontsize=9, frameon=False, loc="lower right")
    figure.savefig(out)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "docs/figures", help="folder of the figures")
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as work:
        draw_curves(args.out / "choosing_curves.png", Path(work))
        draw_demos(args.out / "choosing_demos.png", Path(work))
