"""One run of Table 1: train with the preset, test, and write down all that is known about it.

`table1.py` starts this as a process of its own for each run, so that its memory is its own and nothing carries over.
"""

import argparse
import csv
import json
import os
import platform
import resource
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

import ilpyt
from ilpyt.agents import HeuristicAgent
from ilpyt.algos import ALGORITHMS, RL
from ilpyt.envs import VecEnv
from ilpyt.presets import PAPER_ENVS, SETTINGS, make_algorithm
from ilpyt.runners import evaluate
from ilpyt.utils.checkpoint import atomic_write
from ilpyt.utils.versions import package_versions

DEMOS = Path("demos")  # from the root of the repository, where `table1.py` starts it
BASELINES = ("Random", "Expert")  # nothing is trained: the two ends of the scale
TEST_EPISODES = 100


@dataclass(frozen=True)
class Run:
    """An algorithm, an environment and a seed, and where their files are."""

    algo: str
    env_id: str
    seed: int
    out: Path

    @property
    def folder(self) -> Path:
        """Of the weights, curves and the result."""
        return self.out / self.algo / self.env_id / f"seed_{self.seed}"

    @property
    def result(self) -> Path:
        """Where `result.json` is when all is done, and only then."""
        return self.folder / "result.json"

    @property
    def command(self) -> str:
        """What does this run, after the baselines of its environment."""
        return f"python benchmarks/table1.py --algo {self.algo} --env {self.env_id} --seeds {self.seed}"

    @property
    def settings(self) -> str:
        """What it trains with."""
        return str(SETTINGS[self.algo][self.env_id]) if self.algo in SETTINGS else ""

    def read(self) -> dict[str, Any]:
        """The result."""
        return dict(json.loads(self.result.read_text()))


class RandomAgent(HeuristicAgent):
    """Draws its actions uniformly."""

    def __init__(self, env: VecEnv) -> None:
        super().__init__()
        self._space = env.action_space
        self._space.seed(0)

    def act(self, state: torch.Tensor) -> torch.Tensor:
        """As many actions as there are states."""
        return torch.from_numpy(np.stack([self._space.sample() for _ in state]))


def teacher(algo: str, env_id: str) -> dict[str, Any]:
    """What an algorithm learns from, beside the environment: keywords of its `train`."""
    if issubclass(ALGORITHMS[algo], RL):
        return {}
    if algo == "DAgger":
        return {"expert": PAPER_ENVS[env_id].expert()}
    return {"expert_demos": DEMOS / env_id / "demos.pkl"}


def score_baseline(run: Run) -> dict[str, Any]:
    """Test the random policy or the expert."""
    with ilpyt.envs.build_env(run.env_id) as env:
        agent = RandomAgent(env) if run.algo == "Random" else PAPER_ENVS[run.env_id].expert()
        return {"returns": evaluate(agent, env, TEST_EPISODES)}


def train(run: Run) -> dict[str, Any]:
    """Train with the preset, and test."""
    algo = make_algorithm(run.algo, run.env_id, run.seed, save_path=run.folder)
    start = time.perf_counter()
    algo.train(**SETTINGS[run.algo][run.env_id].train, **teacher(run.algo, run.env_id))
    seconds = time.perf_counter() - start
    returns = algo.test(TEST_EPISODES)
    algo.env.close()
    return {
        "env_steps": algo.runner.env_steps,
        "updates": algo.agent.num_updates(),
        "seconds": round(seconds, 1),
        "test_seconds": round(time.perf_counter() - start - seconds, 1),
        "returns": returns,
        "evaluations": [list(point) for point in evaluations(run.folder)],
        "config": json.loads((run.folder / "config.json").read_text()),
    }


def evaluations(folder: Path) -> Iterator[tuple[int, float, float]]:
    """Env steps, seconds and mean return of each evaluation that a run has logged so far."""
    progress = folder / "progress.csv"
    if progress.exists():
        with open(progress, newline="") as file:
            for row in csv.DictReader(file):
                if row.get("evaluation/return"):
                    yield int(row["step"]), round(float(row["seconds"] or 0), 1), float(row["evaluation/return"])


def main() -> None:
    """Do a run from its beginning, and write its result when all of it is done."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("algo", choices=[*BASELINES, *SETTINGS])
    flags.add_argument("env_id", choices=PAPER_ENVS)
    flags.add_argument("seed", type=int)
    flags.add_argument("out", type=Path)
    run = Run(**vars(flags.parse_args()))
    torch.set_num_threads(1)  # a process a core
    result = score_baseline(run) if run.algo in BASELINES else train(run)
    head = {
        "algo": run.algo,
        "env_id": run.env_id,
        "seed": run.seed,
        "command": run.command,
        "mean": float(np.mean(result["returns"])),
        "std": float(np.std(result["returns"])),
        "settings": run.settings,
        "versions": package_versions(),
        "machine": {"processor": platform.machine(), "cores": os.cpu_count()},
        "peak_memory_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),  # Linux counts in KiB
    }
    with atomic_write(run.result) as file:
        file.write(json.dumps({**head, **result}, indent=1).encode())


if __name__ == "__main__":
    main()
