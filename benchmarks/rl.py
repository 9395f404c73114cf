"""Whole trainings: env steps a second against stable-baselines3, and seconds to a threshold."""

import tempfile
import time
from typing import Any

import numpy as np
import torch
from peer import Peer

import ilpyt
from ilpyt.algos import ALGORITHMS, monitor
from ilpyt.presets import PAPER_ENVS, SETTINGS, make_algorithm
from ilpyt.runners import evaluate
from ilpyt.utils.seed_utils import set_seed

# The defaults of stable-baselines3, as keywords of either side: environments, env steps of a turn, what is common by
# name, and net sizes. A2C's optimizer is Adam on both sides.
DEFAULTS: dict[str, tuple[int, int, dict[str, Any], dict[str, Any], dict[str, Any]]] = {
    "PPO": (
        16,
        32_768,
        {"activation": "tanh", "hidden_sizes": (64, 64)},
        {"lr": 3e-4, "num_epochs": 10, "batch_size": 64, "gae_lambda": 0.95},
        {"net_arch": [64, 64]},
    ),
    "A2C": (16, 8000, {"activation": "tanh", "hidden_sizes": (64, 64)}, {"lr": 7e-4}, {"net_arch": [64, 64]}),
    "DQN": (
        1,
        4000,
        {"hidden_sizes": (64, 64)},
        {"lr": 1e-4, "batch_size": 32, "replay_ratio": 0.25, "tau": 1.0, "target_update_interval": 2500,
         "learning_starts": 100, "epsilon_steps": 4000},
        {"net_arch": [64, 64], "buffer_size": 50_000},
    ),
}  # fmt: skip
ROLLOUT_STEPS = {"PPO": 2048, "A2C": 5, "DQN": 4}


def step_rates(algo: str, env_id: str, turns: int, peer: Peer) -> tuple[list[float], list[float]]:
    """Env steps a second of whole training, own and the peer's, in turns; the first of each only warms up."""
    num_envs, steps, net, agent_kwargs, peer_kwargs = DEFAULTS[algo]
    set_seed(0)
    env = ilpyt.envs.build_env(env_id, num_envs)
    agent = ALGORITHMS[algo].make_agent(env, net=net, **agent_kwargs)
    peer.ask(do="make", algo=algo, env_id=env_id, num_envs=num_envs, kwargs=dict(peer_kwargs))
    own_rates, peer_rates = [], []
    with tempfile.TemporaryDirectory() as folder:
        own = ALGORITHMS[algo](env=env, agent=agent, save_path=folder, progress=False)
        for _ in range(turns + 1):
            start = time.perf_counter()
            own.train(num_steps=steps, rollout_steps=ROLLOUT_STEPS[algo])
            own_rates.append(steps / (time.perf_counter() - start))
            answer = peer.ask(do="train", steps=steps)
            peer_rates.append(answer["steps"] / answer["seconds"])
    env.close()
    return own_rates[1:], peer_rates[1:]


def seconds_to_threshold(
    algo: str, env_id: str, seed: int, interval: int, episodes: int, **learn_from: Any
) -> dict[str, Any]:
    """Train with the preset until an evaluation reaches the threshold; the evaluations' time isn't counted."""
    threshold = PAPER_ENVS[env_id].threshold
    spent = 0.0
    scores = []

    def timed(*args: Any, **kwargs: Any) -> list[float]:
        nonlocal spent
        start = time.perf_counter()
        returns = evaluate(*args, **kwargs)
        spent += time.perf_counter() - start
        scores.append((own.runner.env_steps, float(np.mean(returns))))
        return returns

    goal = {"until": threshold, "eval_interval": interval, "eval_episodes": episodes}
    with tempfile.TemporaryDirectory() as folder:
        own = make_algorithm(algo, env_id, seed, save_path=folder, progress=False)
        original, monitor.evaluate = monitor.evaluate, timed
        try:
            start = time.perf_counter()
            own.train(**{**SETTINGS[algo][env_id].train, **goal}, **learn_from)
            seconds = time.perf_counter() - start - spent
        finally:
            monitor.evaluate = original
            own.env.close()
    reached = scores[-1][1] >= threshold
    return {"seconds": seconds, "steps": own.runner.env_steps, "reached": reached, "scores": scores}


def warm_up() -> None:
    """Make an optimizer: PyTorch's first one in a process takes over a second, on either side."""
    torch.optim.Adam([torch.nn.Parameter(torch.zeros(1))])
