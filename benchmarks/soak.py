"""The long run: an hour of training in worker processes, watched from outside. Is memory flat, is throughput?

    python benchmarks/soak.py PPO
    python benchmarks/soak.py DAgger --minutes 60

A sample every ten seconds goes to `benchmarks/results/soak_<ALGO>.csv`, as it comes; the summary is printed at the end,
and by `--report` from the file. The training is ended as a user would end it, by Ctrl-C.

Memory is what training process and workers hold of their own (anonymous pages, and those shared among them). Throughput
is env steps per second, and, since these machines are shared, per second of processor time of training and workers.

The environment is CartPole: LunarLander itself, stepped without ilpyt, loses some 17 bytes a step (gymnasium 1.4.0,
box2d 2.3.10).
"""

import argparse
import csv
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
ENV_ID = "CartPole-v0"
EVERY = 10  # seconds between samples
WARM_UP = 5  # minutes that aren't compared
WINDOW = 5  # minutes that a figure is the median, or the rate, of
TICKS = os.sysconf("SC_CLK_TCK")


def train(algo: str, save_path: str) -> None:
    """Train until somebody says stop."""
    import torch

    import ilpyt
    from ilpyt.agents import CartPoleHeuristicAgent
    from ilpyt.algos import PPO, DAgger
    from ilpyt.utils.seed_utils import set_seed

    torch.set_num_threads(1)
    set_seed(0)
    env = ilpyt.envs.build_env(ENV_ID, num_env=16, seed=0, vecenv_type="subproc", timeout=60)
    if algo == "PPO":
        PPO(env=env, save_path=save_path, progress=False).train(num_steps=10**10, log_interval=10_000)
    else:
        dagger = DAgger(env=env, save_path=save_path, progress=False, max_mem=20_000)
        dagger.train(num_episodes=10**6, T_steps=50, num_epochs=2, expert=CartPoleHeuristicAgent())


def memory(pid: int) -> float:
    """Of a process, in MB: what it hasn't from files."""
    lines = (line.split() for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return sum(int(line[1]) for line in lines if line[0] in ("RssAnon:", "RssShmem:")) / 1024


def processor_seconds(pid: int) -> float:
    """Of a process and of those of its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / TICKS


def children(pid: int) -> list[int]:
    """Processes that a process has started, and that still run."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def env_steps(folder: Path) -> int:
    """Made so far, by the last row of the log."""
    table = folder / "progress.csv"
    if not table.exists():
        return 0
    with open(table, newline="") as file:
        return max((int(row["step"]) for row in csv.DictReader(file)), default=0)


def watch(algo: str, minutes: float) -> Path:
    """Train for some minutes; the file of samples."""
    folder = Path(tempfile.mkdtemp(prefix="soak_"))
    RESULTS.mkdir(exist_ok=True)
    table = RESULTS / f"soak_{algo}.csv"
    training = subprocess.Popen([sys.executable, __file__, algo, "--train-into", folder])
    start, workers = time.monotonic(), []
    with open(table, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["seconds", "env_steps", "processor_seconds", "memory_mb", "file_descriptors", "processes"])
        while time.monotonic() - start < 60 * minutes:
            time.sleep(EVERY)
            if training.poll() is not None:
                raise SystemExit(f"the training has ended by itself, with exit code {training.returncode}")
            running = children(training.pid)
            workers = workers or running[: len(os.sched_getaffinity(0))]  # evaluations have others for a moment
            processor = processor_seconds(training.pid) + sum(processor_seconds(pid) for pid in workers)
            held = memory(training.pid) + sum(memory(pid) for pid in workers)
            descriptors = len(list(Path(f"/proc/{training.pid}/fd").iterdir()))
            row = [time.monotonic() - start, env_steps(folder), processor, held, descriptors, 1 + len(running)]
            writer.writerow([round(value, 2) for value in row])
            file.flush()
    training.send_signal(signal.SIGINT)
    code = training.wait(60)
    print(f"ended with exit code {code}; checkpoint: {(folder / 'checkpoint.pt').exists()}")
    shutil.rmtree(folder)
    return table


def windows(rows: list[dict[str, float]]) -> list[list[dict[str, float]]]:
    """The rows of each `WINDOW` minutes after warming up; a last shorter one is left out."""
    end = rows[-1]["seconds"]
    starts = [60 * (WARM_UP + WINDOW * k) for k in range(int((end / 60 - WARM_UP) / WINDOW + 0.1))]
    return [[row for row in rows if start <= row["seconds"] <= start + 60 * WINDOW + EVERY] for start in starts]


def rate(rows: list[dict[str, float]], per: str) -> float:
    """Env steps per second, or per second of processor time, from the first row to the last."""
    return (rows[-1]["env_steps"] - rows[0]["env_steps"]) / (rows[-1][per] - rows[0][per])


def report(table: Path) -> str:
    """What the samples say."""
    with open(table, newline="") as file:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    parts = windows(rows)
    held = [statistics.median(row["memory_mb"] for row in part) for part in parts]
    lines = [
        f"{table.stem}: {rows[-1]['seconds'] / 60:.0f} minutes, {rows[-1]['env_steps']:,.0f} env steps",
        f"memory: {held[0]:.1f} MB after {WARM_UP} to {WARM_UP + WINDOW} minutes, {held[-1]:.1f} MB in the last "
        f"{WINDOW}: {100 * (held[-1] / held[0] - 1):+.2f}%; all windows {min(held):.1f} to {max(held):.1f} MB",
    ]
    for per in ("seconds", "processor_seconds"):
        rates = [rate(part, per) for part in parts]
        middle = statistics.median(rates)
        lines.append(
            f"env steps per {per.replace('_', ' ')[:-1]}: first {rates[0]:,.0f}, last {rates[-1]:,.0f} "
            f"({100 * (rates[-1] / rates[0] - 1):+.1f}%); windows of {WINDOW} minutes: median {middle:,.0f}, "
            f"{100 * (min(rates) / middle - 1):+.1f}% to {100 * (max(rates) / middle - 1):+.1f}%"
        )
    lines.append(
        f"file descriptors: {rows[len(rows) // 10]['file_descriptors']:.0f} to {rows[-1]['file_descriptors']:.0f}"
    )
    return "\n".join(lines)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("algo", choices=["PPO", "DAgger"])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--report", action="store_true", help="only say what the last run's samples say")
    parser.add_argument("--train-into", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.train_into:
        signal.signal(signal.SIGINT, signal.default_int_handler)  # also where a shell's background job ignores it
        train(args.algo, args.train_into)
    else:
        print(report(RESULTS / f"soak_{args.algo}.csv" if args.report else watch(args.algo, args.minutes)))


if __name__ == "__main__":
    main()
