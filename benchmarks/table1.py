"""The paper's Table 1: every algorithm on every environment, trained, tested and reported.

    python benchmarks/table1.py                                       # all of it, seed 0
    python benchmarks/table1.py --seeds 0 1 2                         # as it is reported
    python benchmarks/table1.py --algo GAIL GCL --env CartPole-v0     # some of it
    python benchmarks/table1.py --report                              # tables and curves of what is there: report.md
    python benchmarks/table1.py --publish                             # all of it, with weights, into the repository

Each run is a process of its own, and leaves `<out>/<algorithm>/<env_id>/seed_<seed>/` with its weights, learning curves
and `result.json`. What has a result isn't run again; what was interrupted begins anew.
"""

import argparse
import fcntl
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from cell import BASELINES, Run, evaluations

from ilpyt.presets import PAPER_ENVS, SETTINGS

HERE = Path(__file__).parent.absolute()
# Those that take longest come first, so that no core is idle at the end.
SLOWEST_ENVS = ("LunarLander-v2", "LunarLanderContinuous-v2")
SLOWEST_ALGOS = ("DQN", "A2C", "AppL", "GAIL", "PPO", "GCL", "DAgger", "BC")


def plan(algos: Sequence[str], env_ids: Sequence[str], seeds: Sequence[int], out: Path) -> list[Run]:
    """The runs of a selection, in the order in which they are best begun; baselines have one seed."""
    runs = [Run(name, env_id, 0, out) for name in BASELINES for env_id in env_ids]
    runs += [Run(algo, env_id, seed, out) for seed in seeds for algo in algos for env_id in env_ids]
    order = {algo: place for place, algo in enumerate((*BASELINES, *SLOWEST_ALGOS))}
    runs.sort(key=lambda run: (run.seed, run.env_id not in SLOWEST_ENVS, order.get(run.algo, len(order))))
    return list(dict.fromkeys(runs))


def work(runs: list[Run], jobs: int, lock: int) -> list[Run]:
    """Do the runs that have no result yet, some at a time.

    Args:
        runs: what is wanted.
        jobs: runs at a time.
        lock: file descriptor that claims the folder; the processes of the runs hold it too.

    Returns:
        the runs that failed.
    """
    waiting = [run for run in runs if not run.result.exists()]
    running: dict[Run, subprocess.Popen] = {}
    failed: list[Run] = []
    screen = Screen(runs)
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                run = waiting.pop(0)
                running[run] = start(run, lock)
            screen.draw(running, failed)
            time.sleep(1)
            for run in [run for run, process in running.items() if process.poll() is not None]:
                del running[run]
                if not run.result.exists():
                    failed.append(run)
                screen.finished(run)
        screen.draw(running, failed)
    finally:
        for process in running.values():
            process.kill()
        for process in running.values():
            process.wait()
    return failed


def start(run: Run, lock: int) -> subprocess.Popen:
    """Begin a run in an empty folder; what it prints goes to `<out>/logs/`."""
    shutil.rmtree(run.folder, ignore_errors=True)  # what an interrupted run has left
    run.folder.mkdir(parents=True, exist_ok=True)
    log = log_of(run)
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, HERE / "cell.py", run.algo, run.env_id, str(run.seed), run.out]
    with open(log, "w") as file:
        return subprocess.Popen(
            command,
            cwd=HERE.parent,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,  # Ctrl-C comes to this process alone, which ends the others
            pass_fds=(lock,),
        )


def log_of(run: Run) -> Path:
    """The file with what a run has printed."""
    return run.out / "logs" / f"{run.algo}_{run.env_id}_{run.seed}.txt"


class Screen:
    """A table of all runs that is drawn again and again; where nobody looks, a line for each that ends."""

    def __init__(self, runs: list[Run]) -> None:
        self._runs = runs
        self._algos = [a for a in (*BASELINES, *SETTINGS) if any(run.algo == a for run in runs)]
        self._env_ids = [e for e in PAPER_ENVS if any(run.env_id == e for run in runs)]
        self._start = time.monotonic()
        self._drawn = 0
        self._means: dict[Run, float] = {}

    def draw(self, running: dict[Run, subprocess.Popen], failed: list[Run]) -> None:
        """Draw the table where it was before."""
        if not sys.stdout.isatty():
            return
        # A line that wraps would count as two.
        width = min(27, (shutil.get_terminal_size().columns - 9) // len(self._env_ids))
        lines = [f"{'':<8}" + "".join(f"{env_id[: width - 1]:>{width}}" for env_id in self._env_ids)]
        for algo in self._algos:
            cells = ([r for r in self._runs if (r.algo, r.env_id) == (algo, env_id)] for env_id in self._env_ids)
            texts = (self._cell(cell, running, failed)[: width - 1] for cell in cells)
            lines.append(f"{algo:<8}" + "".join(f"{text:>{width}}" for text in texts))
        done = sum(run.result.exists() for run in self._runs)
        lines.append(f"{done} of {len(self._runs)} runs done, {len(failed)} failed; {self._elapsed():.0f} minutes")
        up = f"\x1b[{self._drawn}F" if self._drawn else ""
        print(up + "\n".join(f"{line}\x1b[K" for line in lines), flush=True)
        self._drawn = len(lines)

    def finished(self, run: Run) -> None:
        """Say how a run ended, if there is no table to show it."""
        if sys.stdout.isatty():
            return
        if run.result.exists():
            result = run.read()
            print(
                f"{run.algo:<7}{run.env_id:<26}seed {run.seed}  {result['mean']:8.2f} +/- {result['std']:6.2f}"
                f"  {result.get('env_steps', 0):>9,} env steps {result.get('seconds', 0):7.1f} s"
                f"   ({self._elapsed():.1f} minutes)",
                flush=True,
            )
        else:
            print(f"{run.algo:<7}{run.env_id:<26}seed {run.seed}  failed: see {log_of(run)}", flush=True)

    def _elapsed(self) -> float:
        """Minutes since the beginning."""
        return (time.monotonic() - self._start) / 60

    def _cell(self, runs: list[Run], running: dict[Run, subprocess.Popen], failed: list[Run]) -> str:
        """The mean of the seeds that are done; what goes on; what failed."""
        for run in runs:
            if run not in self._means and run.result.exists():
                self._means[run] = run.read()["mean"]
        means = [self._means[run] for run in runs if run in self._means]
        parts = ["failed"] if any(run in failed for run in runs) else []
        parts += [f"{np.mean(means):.2f} ({len(means)}/{len(runs)})"] if means else []
        parts += [_last_evaluation(run) for run in runs if run in running and run not in self._means]
        return " ".join(parts) or "-"


def _last_evaluation(run: Run) -> str:
    """How far a run is."""
    try:
        steps, _, score = list(evaluations(run.folder))[-1]
        return f"~{score:.0f} at {steps // 1000}k"
    except (IndexError, OSError, ValueError):  # none yet, or half a line
        return "begun"


@contextmanager
def claimed(out: Path) -> Iterator[int]:
    """Nobody else works in this folder as long as a process holds the file descriptor that this gives."""
    out.mkdir(parents=True, exist_ok=True)
    with open(out / ".lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise SystemExit(f"another table1.py is at work in {out}; wait for it, or choose another --out") from None
        yield lock.fileno()


def _interrupt(number: int, frame: object) -> None:
    """What Ctrl-C does, also where signals are ignored or would leave the runs going on alone."""
    raise KeyboardInterrupt


def main() -> None:
    """Do what the command line asks for."""
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    algos = [*BASELINES, *SETTINGS]
    flags.add_argument("--algo", nargs="+", default=algos, choices=algos, help="algorithms; all")
    flags.add_argument("--env", nargs="+", default=list(PAPER_ENVS), choices=PAPER_ENVS, help="environments; all")
    flags.add_argument("--seeds", nargs="+", type=int, default=[0], help="of training; 0")
    flags.add_argument(
        "--jobs", type=int, default=2, choices=range(1, 257), metavar="N", help="runs at a time, each on one core; 2"
    )
    flags.add_argument("--out", type=Path, default=Path("runs/table1"), help="folder of the runs; runs/table1")
    flags.add_argument("--report", action="store_true", help="tables and curves of all results in <out>, into <out>")
    flags.add_argument("--publish", action="store_true", help="them, results and weights, into the repository")
    args = flags.parse_args()
    if args.jobs < 1:
        flags.error(f"--jobs must be at least 1, got {args.jobs}")
    args.out = args.out.absolute()
    if args.report or args.publish:
        try:
            from publish import publish
            from report import write_report
        except ModuleNotFoundError as error:
            raise SystemExit(f"the report needs {error.name}: pip install -e '.[plot]'") from None
        if args.report:
            write_report(args.out, args.out / "report.md")
        if args.publish:
            with claimed(args.out):
                publish(args.out)
        return
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    with claimed(args.out) as lock:
        runs = plan([algo for algo in args.algo if algo in SETTINGS], args.env, args.seeds, args.out)
        outdated = [run for run in runs if run.result.exists() and run.read().get("settings", "") != run.settings]
        for run in outdated:
            print(f"{run.folder} was trained with other settings than today's; remove it to train it again.")
        try:
            failed = work(runs, args.jobs, lock)
        except KeyboardInterrupt:
            raise SystemExit("\nInterrupted; the same command goes on with what isn't done.") from None
    if failed:
        raise SystemExit("\n".join(["Failed:", *(f"  {run.command}   see {log_of(run)}" for run in failed)]))


if __name__ == "__main__":
    main()
