"""How cost grows with the number of environments, of demonstrations and of remembered transitions."""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from claims.measure import Row, in_turns
from claims.training import warm_up

from ilpyt.agents import DQNAgent, ImitationAgent
from ilpyt.algos import BC, PPO
from ilpyt.envs import build_env
from ilpyt.nets import choose_net
from ilpyt.runners import Batch, Experiences, Runner
from ilpyt.utils.replay_memory import ReplayMemory

TURNS = 9
ENVS = (1, 4, 16, 64, 256)
DEMOS = (1_000, 10_000, 100_000, 1_000_000)
REPLAY = (10_000, 100_000, 1_000_000)
OBS = 8  # numbers of an observation
DEMO_BYTES = 4 * OBS + 8 + 4 + 1 + 1  # state, action, reward, done, truncated
REPLAY_BYTES = 2 * 4 * OBS + 8 + 4 + 1 + 1  # state and next state, action, reward, done, terminated
STATUS = Path("/proc/self/status")


def growth(_turns: int, seconds: float) -> Iterator[Row]:
    """Cost of a step or an update at each size, relative to the smaller ones; memory beside the data."""
    warm_up()
    yield as_row("environments: time an env step of a rollout", ENVS, [rollout_cost(n, seconds) for n in ENVS])
    yield as_row("demonstrations: time a BC update", DEMOS, [bc_cost(n, seconds) for n in DEMOS])
    yield as_row("replay memory: time of adding 4 and a DQN update", REPLAY, [replay_cost(n, seconds) for n in REPLAY])
    if STATUS.exists():  # on Linux
        yield memory("demonstrations: memory of BC training", DEMOS, DEMO_BYTES, "bc")
        yield memory("replay memory: memory", REPLAY, REPLAY_BYTES, "replay")


def as_row(claim: str, sizes: tuple[int, ...], costs: list[Callable[[], float]]) -> Row:
    """What is reported of costs, in microseconds; the ratio is the largest cost over that of a smaller size."""
    medians = [statistics.median(turns) for turns in in_turns(costs, TURNS)]
    worst = max(later / medians[i] for i in range(len(sizes)) for later in medians[i:])
    listed = ", ".join(f"{cost:.1f} us ({size:,})" for size, cost in zip(sizes, medians, strict=True))
    row = Row(f"growth, {claim}", listed, "", f"{worst:.2f}x", "1.2x at most", {"sizes": sizes, "us": medians})
    print(row, flush=True)
    return row


def timed(work: Callable[[], int], seconds: float) -> Callable[[], float]:
    """Microseconds a unit of what `work` does so many units of."""

    def cost() -> float:
        count, start = 0, time.perf_counter()
        while (elapsed := time.perf_counter() - start) < seconds:
            count += work()
        return 1e6 * elapsed / count

    return cost


def rollout_cost(num_envs: int, seconds: float) -> Callable[[], float]:
    """Of an env step of one environment."""
    env = build_env("CartPole-v1", num_envs)
    runner = Runner(env, PPO.make_agent(env))
    return timed(lambda: runner.generate_batch(8).rewards.numel(), seconds)


def bc_cost(size: int, seconds: float) -> Callable[[], float]:
    """Of an update on a minibatch of 64, in whole epochs."""
    demos = random_demos(size)
    agent = ImitationAgent(choose_net(build_env("LunarLander-v3", 1)))

    def epoch() -> int:
        agent.train_epoch(demos.states, demos.actions, 64)
        return -(-size // 64)

    return timed(epoch, seconds)


def replay_cost(size: int, seconds: float) -> Callable[[], float]:
    """Of remembering four transitions and learning from a minibatch of 64, with a full memory."""
    env = build_env("LunarLander-v3", 4)
    agent = DQNAgent(choose_net(env), replay_memory_size=size, num_envs=4)
    agent.replay_memory.add(random_rollout(size // 4))
    rollout = random_rollout(1)
    agent.env_steps = size

    def update() -> int:
        agent.update(rollout)
        return 1

    return timed(update, seconds)


def random_demos(size: int) -> Experiences:
    """Episodes of 200 steps."""
    dones = np.arange(size) % 200 == 199
    return Experiences(torch.randn(size, OBS), torch.randint(4, (size,)), torch.zeros(size), dones)


def random_rollout(steps: int) -> Batch:
    """Of four environments."""
    flags = torch.zeros(steps, 4, dtype=torch.bool)
    states = torch.randn(steps, 4, OBS)
    return Batch(states, torch.randint(4, (steps, 4)), torch.zeros(steps, 4), flags, flags, states.clone())


def memory(claim: str, sizes: tuple[int, ...], bytes_each: int, kind: str) -> Row:
    """Peak memory at each size, in a process of its own, and the bytes that it grows by for a byte of data."""
    peaks = []
    with tempfile.TemporaryDirectory() as folder:
        for size in sizes:
            random_demos(size).save(Path(folder) / "demos.npz")
            program = f"from claims import growth; growth.{kind}_memory({folder!r}, {size})"
            here = Path(__file__).parents[1]
            answer = subprocess.run([sys.executable, "-c", program], cwd=here, check=True, capture_output=True)
            peaks.append(int(answer.stdout.split()[-1]) * 1024)
    slope = (peaks[-1] - peaks[-2]) / ((sizes[-1] - sizes[-2]) * bytes_each)
    listed = ", ".join(f"{peak / 2**20:.0f} MB ({size:,})" for size, peak in zip(sizes, peaks, strict=True))
    row = Row(f"growth, {claim}", listed, "", f"{slope:.2f}x the data", "1x", {"sizes": sizes, "bytes": peaks})
    print(row, flush=True)
    return row


def bc_memory(folder: str, _size: int) -> None:
    """Train BC on the demonstrations there, and print the peak memory."""
    algo = BC(env=build_env("LunarLander-v3", 1), save_path=folder, progress=False)
    algo.train(num_epochs=1, batch_size=4096, expert_demos=f"{folder}/demos.npz")
    print_peak()


def replay_memory(_folder: str, size: int) -> None:
    """Fill a replay memory, and print the peak memory."""
    replay = ReplayMemory(size)
    for _ in range(0, size, 4000):
        replay.add(random_rollout(1000))
    print_peak()


def print_peak() -> None:
    """The most memory that this process has held at once, in KiB (`ru_maxrss` would count its parent's as well)."""
    print(STATUS.read_text().split("VmHWM:")[1].split()[0])
