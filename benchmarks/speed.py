"""Speed, as ratios against what users would otherwise run.

    python benchmarks/speed.py            # all claims
    python benchmarks/speed.py vecenv bc  # some

Own code and peer are run in turns (A B A B ...), many and short, so that whatever else the machine is doing hits both;
a claim is the ratio of the medians, with the quartiles of the ratios of neighbouring runs beside it. Results are
printed as a Markdown table and written to `benchmarks/results/speed.json`.
"""

import argparse
import json
import logging
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import torch
from peer import Peer
from rl import seconds_to_threshold, step_rates, warm_up
from torch.utils.data import DataLoader, TensorDataset

import ilpyt
from ilpyt.agents.imitation_agent import ImitationAgent, StateActions
from ilpyt.envs import VecEnv
from ilpyt.nets import choose_net
from ilpyt.presets import PAPER_ENVS, SETTINGS
from ilpyt.runners import Experiences

RESULTS = Path(__file__).parent / "results" / "speed.json"
DEMOS = Path(__file__).parents[1] / "demos"
NUM_ENVS = 16
RL_TURNS = 5  # of some seconds each
PATIENCE = 2.5  # how much longer than ours the peer may take to a threshold
# what is solved, and the env steps between evaluations
SOLVE = {
    ("PPO", "CartPole-v0"): 2000,
    ("DQN", "CartPole-v0"): 2000,
    ("A2C", "CartPole-v0"): 2000,
    ("PPO", "LunarLander-v2"): 10_000,
    ("DQN", "LunarLander-v2"): 10_000,
    ("PPO", "LunarLanderContinuous-v2"): 10_000,
    ("A2C", "LunarLander-v2"): 10_000,
}
Row = dict[str, Any]


def compare(claim: str, goal: str, unit: str, own: Callable[[], float], peer: Callable[[], float], runs: int) -> Row:
    """Rates of own code and peer, in turns; the first of each warms up and doesn't count."""
    own(), peer()
    pairs = [(own(), peer()) for _ in range(runs)]
    return as_row(claim, goal, unit, *map(list, zip(*pairs, strict=True)))


def as_row(claim: str, goal: str, unit: str, own: list[float], peer: list[float]) -> Row:
    """What is reported of the rates of both sides; prints it."""
    ratios = [a / b for a, b in zip(own, peer, strict=True)]
    own_median, peer_median = statistics.median(own), statistics.median(peer)
    row: Row = {
        "claim": claim,
        "unit": unit,
        "own": own_median,
        "peer": peer_median,
        "ratio": own_median / peer_median,
        "quartiles": [round(q, 3) for q in np.quantile(ratios, [0.25, 0.75])],
        "goal": goal,
    }
    print(as_line(row), flush=True)
    return row


def as_line(row: Row) -> str:
    """A row of the Markdown table."""
    low, high = row["quartiles"]
    return (
        f"| {row['claim']} | {row['own']:,.0f} | {row['peer']:,.0f} {row['unit']} | {row['ratio']:.2f}x "
        f"({low:.2f} to {high:.2f}) | {row['goal']} |"
    )


def step_rate(env: Any, num_actions: int, seconds: float) -> float:
    """Transitions a second, all environments together.

    gymnasium resets an environment in a step of its own, which brings no transition and isn't counted.
    """
    actions = np.random.default_rng(0).integers(0, num_actions, (1000, NUM_ENVS))
    flags, start = [], time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds:
        for _ in range(20):
            flags.append(env.step(actions[len(flags) % 1000])[2:4])
    resets = 0
    if not isinstance(env, VecEnv):
        resets = sum(int((terminated | truncated).sum()) for terminated, truncated in flags[:-1])
    return (len(flags) * NUM_ENVS - resets) / elapsed


def vecenv(runs: int, seconds: float) -> list[Row]:
    """Vectorized environments against gymnasium's."""
    rows = []
    for env_id, subproc_goal in (("CartPole-v1", "5x"), ("LunarLander-v3", "3.5x")):
        name = env_id.split("-")[0]
        dummy = ilpyt.envs.build_env(env_id, NUM_ENVS)
        subproc = ilpyt.envs.build_env(env_id, NUM_ENVS, vecenv_type="subproc")
        peers = {m: gymnasium.make_vec(env_id, NUM_ENVS, vectorization_mode=m) for m in ("sync", "async")}
        for env in (dummy, subproc, *peers.values()):
            env.reset(seed=0)

        def rate(env: Any, n: int = dummy.num_actions) -> Callable[[], float]:
            return lambda: step_rate(env, n, seconds)

        claims = [
            (f"{name}: DummyVecEnv / gymnasium SyncVectorEnv", "1x", dummy, peers["sync"]),
            (f"{name}: SubProcVecEnv / gymnasium AsyncVectorEnv", subproc_goal, subproc, peers["async"]),
        ]
        if name == "LunarLander":
            claims.append((f"{name}: SubProcVecEnv / own DummyVecEnv", "1x", subproc, dummy))
        rows += [compare(claim, goal, "env steps/s", rate(own), rate(peer), runs) for claim, goal, own, peer in claims]
        for env in (dummy, subproc, *peers.values()):
            env.close()
    return rows


def bc(runs: int, seconds: float) -> list[Row]:
    """A gradient update of behavioral cloning against a plain eager loop, at the same sizes."""
    torch.set_num_threads(1)
    env = ilpyt.envs.build_env("LunarLander-v3", 1)
    demos = Experiences(
        torch.randn(20_000, 8), torch.randint(4, (20_000,)), torch.zeros(20_000), torch.arange(20_000) % 200 == 199
    )
    agent = ImitationAgent(choose_net(env), lr=1e-3, max_grad_norm=10.0)
    plain = choose_net(env)
    adam = torch.optim.Adam(plain.parameters(), lr=1e-3)
    loader = DataLoader(TensorDataset(demos.states, demos.actions), batch_size=32, shuffle=True)

    def own() -> float:
        count, start = 0, time.perf_counter()
        while True:
            for indices in torch.randperm(len(demos)).split(32):
                agent.update(StateActions(demos.states[indices], demos.actions[indices]))
                count += 1
                if (elapsed := time.perf_counter() - start) > seconds:
                    return count / elapsed

    def eager() -> float:
        count, start = 0, time.perf_counter()
        while True:
            for states, actions in loader:
                adam.zero_grad()
                loss = torch.nn.functional.cross_entropy(plain(states), actions)
                loss.backward()
                torch.nn.utils.clip_grad_norm_(plain.parameters(), 10.0)
                adam.step()
                loss.item()
                count += 1
                if (elapsed := time.perf_counter() - start) > seconds:
                    return count / elapsed

    claim = "BC update / plain eager loop (DataLoader, Adam), MLP 2x128, minibatch 32, both clipping"
    return [compare(claim, "1.54x (0.65 of its time)", "updates/s", own, eager, runs)]


def imports(_runs: int, _seconds: float) -> list[Row]:
    """What `import ilpyt` and its parts cost on top of `import torch`."""

    def time_of(code: str) -> float:
        start = time.perf_counter()
        subprocess.run([sys.executable, "-c", code], check=True)
        return time.perf_counter() - start

    parts = "import ilpyt, ilpyt.envs, ilpyt.nets, ilpyt.runners, ilpyt.agents, ilpyt.algos"
    rows: list[Row] = []
    for claim, code in (("import ilpyt", "import ilpyt"), ("import ilpyt and all of its parts", parts)):
        pairs = [(time_of(f"import torch; {code}"), time_of("import torch")) for _ in range(9)]
        extra = [a - b for a, b in pairs]
        rows.append({"claim": claim, "seconds over import torch": statistics.median(extra), "goal": "0.3 s at most"})
        spread = f"({min(extra):.2f} to {max(extra):.2f})"
        print(
            f"| {claim} | {statistics.median(extra):.2f} s over import torch | | {spread} | 0.3 s at most |", flush=True
        )
    return rows


def rl(turns: int, _seconds: float) -> list[Row]:
    """Whole training, env steps a second, against stable-baselines3 with the same hyper-parameters and networks."""
    torch.set_num_threads(1)
    peer = Peer("sb3_peer.py", ".venv-peers")
    rows = []
    for algo, env_id in product(("PPO", "A2C", "DQN"), ("CartPole-v1", "LunarLander-v3")):
        own, other = step_rates(algo, env_id, min(turns, RL_TURNS), peer)
        claim = f"{algo} training on {env_id.split('-')[0]} / stable-baselines3"
        rows.append(as_row(claim, "2x", "env steps/s", own, other))
    peer.close()
    return rows


def solve(_turns: int, _seconds: float) -> list[Row]:
    """Seconds until an evaluation of 20 episodes reaches the paper's threshold, over seeds 0, 1, 2.

    Ours with the presets, stable-baselines3 with the hyper-parameters that rl-baselines3-zoo publishes; the
    evaluations' own time isn't counted on either side. The peer is stopped after 2.5 times our own time (at least a
    minute): then its time is a lower bound, and the ratio an upper one.
    """
    torch.set_num_threads(1)
    warm_up()
    peer = Peer("sb3_peer.py", ".venv-peers")
    rows = []
    for (algo, env_id), interval in SOLVE.items():
        command = {"do": "solve", "algo": algo, "env_id": env_id.replace("v2", "v3")}
        rows.append(race(algo, env_id, interval, peer, command))
    peer.close()
    return rows


def gail(_turns: int, _seconds: float) -> list[Row]:
    """The same for GAIL from the bundled demonstrations, against `imitation` with our hyper-parameters."""
    torch.set_num_threads(1)
    warm_up()
    peer = Peer("imitation_peer.py", ".venv-imitation")
    rows = []
    for env_id, interval in {"CartPole-v0": 1, "LunarLander-v2": 10_000}.items():
        demos = Experiences.load(DEMOS / env_id / "demos.pkl")
        settings = SETTINGS["GAIL"][env_id]
        learner, steps = settings.agent["learner"], settings.train["rollout_steps"]
        batch = demos.to_batch().flatten()
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "demos.npz"
            fields = {"obs": batch.states, "acts": batch.actions, "next_obs": batch.next_states, "dones": batch.dones}
            np.savez(file, **{name: tensor.numpy() for name, tensor in fields.items()})
            command = {
                "do": "gail",
                "env_id": env_id,
                "demos": str(file),
                "num_envs": settings.env["num_env"],
                "budget": settings.train["num_steps"],
                "lr": (learner["lr"].start, learner["lr"].steps),
                "net_arch": settings.net["hidden_sizes"],
                "ppo": {
                    "n_steps": steps,
                    "batch_size": learner["batch_size"],
                    "n_epochs": learner["num_epochs"],
                    "gamma": learner["gamma"],
                    "gae_lambda": learner["gae_lambda"],
                },
                "disc": {
                    "demo_batch_size": settings.agent.get("batch_size", 256),
                    "gen_replay_buffer_capacity": settings.agent.get("replay_memory_size")
                    or steps * settings.env["num_env"],
                    "n_disc_updates_per_round": settings.agent.get("num_disc_updates", 4),
                },
            }
            rows.append(race("GAIL", env_id, interval, peer, command, expert_demos=demos))
    peer.close()
    return rows


def race(algo: str, env_id: str, interval: int, peer: Peer, command: dict[str, Any], **learn_from: Any) -> Row:
    """Seconds to the threshold on both sides, one seed after the other."""
    sides: dict[str, list[dict[str, Any]]] = {"ilpyt": [], "peer": []}
    threshold = PAPER_ENVS[env_id].threshold
    for seed in range(3):
        sides["ilpyt"].append(seconds_to_threshold(algo, env_id, seed, interval, 20, **learn_from))
        limit = max(60.0, PATIENCE * sides["ilpyt"][-1]["seconds"])
        goal = {"threshold": threshold, "interval": interval, "episodes": 20, "max_seconds": limit}
        sides["peer"].append(peer.ask(**command, seed=seed, **goal))
    own, other = ([run["seconds"] for run in runs] for runs in sides.values())
    ratio = statistics.median(own) / statistics.median(other)
    listed = [
        ", ".join(f"{r['seconds']:.1f} s ({r['steps']:,}{'' if r['reached'] else ', not reached'})" for r in runs)
        for runs in sides.values()
    ]
    claim = f"{algo}: seconds to solve {env_id}"
    print(f"| {claim} (env steps) | {' | '.join(listed)} | {ratio:.2f}x | 0.5x |", flush=True)
    return {"claim": claim, **sides, "ratio": ratio, "goal": "0.5x"}


CLAIMS: dict[str, Callable[[int, float], list[Row]]] = {
    "vecenv": vecenv,
    "bc": bc,
    "imports": imports,
    "rl": rl,
    "solve": solve,
    "gail": gail,
}


def main() -> None:
    """Measure the claims that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("claims", nargs="*", default=["all"], help=f"any of {', '.join(CLAIMS)}, or all")
    parser.add_argument("--runs", type=int, default=50, help="runs of each side")
    parser.add_argument("--seconds", type=float, default=0.1, help="length of a run")
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    names = list(CLAIMS) if "all" in args.claims else args.claims
    if unknown := set(names) - set(CLAIMS):
        parser.error(f"unknown claims: {', '.join(unknown)}; there are {', '.join(CLAIMS)}")
    print(
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}, torch {torch.__version__}, "
    )
    print(
        f"numpy {np.__version__}, gymnasium {gymnasium.__version__}; medians of {args.runs} runs of {args.seconds} s\n"
    )
    print("| claim | ilpyt | peer | ratio | goal |\n| --- | --- | --- | --- | --- |")
    rows = [row for name in names for row in CLAIMS[name](args.runs, args.seconds)]
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
