"""Where the time of training goes: microseconds an env step, by part, of each algorithm's loop.

    python benchmarks/profiles.py          # all
    python benchmarks/profiles.py PPO BC   # some

Hyper-parameters, networks and environments are those of `speed.py rl` (BC: of `speed.py bc`). A part that is indented
belongs to the one above it.
"""

import argparse
import logging
import tempfile
import time
from typing import Any

import torch
from claims.bc import BATCH_SIZE
from claims.training import DEFAULTS, DEMOS, ROLLOUT_STEPS, warm_up

from ilpyt.algos import ALGORITHMS, BC, BaseAlgorithm, monitor
from ilpyt.envs import build_env
from ilpyt.runners import Experiences
from ilpyt.utils.seed_utils import set_seed

ENV_ID = "CartPole-v1"
STEPS = {"PPO": 65_536, "A2C": 32_000, "DQN": 16_000}


class Stopwatch:
    """Seconds spent in some functions."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def watch(self, owner: Any, name: str, part: str) -> None:
        """Count the time of `owner.name` as that of a part; two leading spaces a level."""
        original = getattr(owner, name)
        self.seconds[part] = 0.0

        def timed(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            try:
                return original(*args, **kwargs)
            finally:
                self.seconds[part] += time.perf_counter() - start

        setattr(owner, name, timed)

    def report(self, title: str, unit: str, total: float, count: int) -> None:
        """Print a table."""
        print(f"\n| {title} | us {unit} | share |\n| --- | --- | --- |")
        for part, seconds in {"all": total, **self.seconds}.items():
            indent = "&nbsp;" * (len(part) - len(part.lstrip()))
            print(f"| {indent}{part.lstrip()} | {1e6 * seconds / count:.1f} | {seconds / total:.0%} |")


def profile_rl(name: str) -> None:
    """Rollouts and updates of PPO, A2C or DQN."""
    num_envs, _, net, agent_kwargs, _ = DEFAULTS[name]
    set_seed(0)
    env = build_env(ENV_ID, num_envs)
    agent = ALGORITHMS[name].make_agent(env, net=net, **agent_kwargs)
    with tempfile.TemporaryDirectory() as folder:
        algo = ALGORITHMS[name](env=env, agent=agent, save_path=folder, progress=False)
        algo.train(num_steps=STEPS[name] // 8, rollout_steps=ROLLOUT_STEPS[name])
        watch = Stopwatch()
        watch.watch(algo.runner, "generate_batch", "rollout")
        watch.watch(agent, "step", "  the policy acts")
        watch.watch(env, "step", "  VecEnv.step")
        watch.watch(env, "_step", "    the environments themselves")
        watch.watch(agent, "update", "update")
        if name == "DQN":
            watch.watch(agent.replay_memory, "add", "  remember")
            watch.watch(agent.replay_memory, "sample", "  draw a minibatch")
            watch.watch(agent, "targets", "  targets")
        if name == "PPO":
            watch.watch(agent, "collect", "  values and advantages of the rollout")
            watch.watch(agent, "loss", "  loss, forward")
            watch.watch(agent, "_diagnose", "  metrics")
        profile_optimize(algo, watch)
        watch.watch(monitor.Monitor, "record", "count, log, save")
        start = time.perf_counter()
        algo.train(num_steps=STEPS[name], rollout_steps=ROLLOUT_STEPS[name])
        watch.report(f"{name}, {num_envs} x CartPole", "an env step", time.perf_counter() - start, STEPS[name])
        env.close()


def profile_bc() -> None:
    """Updates of BC."""
    set_seed(0)
    env = build_env("LunarLander-v3", 1)
    demos = Experiences.load(DEMOS / "LunarLander-v2" / "demos.pkl")
    with tempfile.TemporaryDirectory() as folder:
        agent = BC.make_agent(env, max_grad_norm=10.0)
        algo = BC(env=env, agent=agent, save_path=folder, progress=False)
        algo.train(1, BATCH_SIZE, demos)
        watch = Stopwatch()
        watch.watch(agent, "update", "update")
        watch.watch(agent, "loss", "  loss, forward")
        profile_optimize(algo, watch)
        watch.watch(agent, "validate", "held-out loss")
        before, start = agent.updates, time.perf_counter()
        algo.train(3, BATCH_SIZE, demos)
        watch.report("BC", "an update", time.perf_counter() - start, agent.updates - before)
        env.close()


def profile_optimize(algo: BaseAlgorithm, watch: Stopwatch) -> None:
    """What every gradient step consists of."""
    watch.watch(algo.agent, "optimize", "  gradient step")
    watch.watch(torch.Tensor, "backward", "    backward")
    for optimizer in algo.agent.optimizers.values():
        watch.watch(optimizer, "step", "    Adam")


def main() -> None:
    """Profile what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    known = [*STEPS, "BC"]
    parser.add_argument("algorithms", nargs="*", help=f"any of {', '.join(known)}; all by default")
    names = parser.parse_args().algorithms or known
    if unknown := set(names) - set(known):
        parser.error(f"unknown algorithms: {', '.join(unknown)}; there are {', '.join(known)}")
    logging.disable(logging.WARNING)
    warm_up()
    backward, record = torch.Tensor.backward, monitor.Monitor.record
    for name in names:
        profile_bc() if name == "BC" else profile_rl(name)
        torch.Tensor.backward, monitor.Monitor.record = backward, record  # type: ignore[method-assign]


if __name__ == "__main__":
    main()
