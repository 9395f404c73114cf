"""Behavioral cloning: gradient updates a second, and seconds to the paper's score."""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np
import torch
from claims.measure import Row, compare, race
from claims.training import DEMOS, SEEDS, warm_up, write_transitions
from goals import goal
from peers.peer import Peer
from torch.utils.data import DataLoader, TensorDataset

import ilpyt
from ilpyt.agents.imitation_agent import ImitationAgent, StateActions
from ilpyt.nets import choose_net
from ilpyt.presets import PAPER_ENVS, SETTINGS, make_algorithm
from ilpyt.runners import Experiences, evaluate
from ilpyt.utils.seed_utils import VALIDATION_SEED

BATCH_SIZE = 32
PATIENCE = 4.0  # how much longer than ours the peer may take to the score, at least 30 seconds
INTERVAL = 50  # updates between evaluations
PEER_UPDATES = 500  # of a turn: the peer logs before the first and after so many
PEER_TURNS = 9


def updates(turns: int, seconds: float) -> Iterator[Row]:
    """A gradient update of behavioral cloning against `imitation` and a plain eager loop, at the same sizes."""
    warm_up()
    env = ilpyt.envs.build_env("LunarLander-v3", 1)
    demos = Experiences.load(DEMOS / "LunarLander-v2" / "demos.pkl").fit_to(env)
    agent = ImitationAgent(choose_net(env), lr=1e-3, max_grad_norm=10.0)
    plain = choose_net(env)
    adam = torch.optim.Adam(plain.parameters(), lr=1e-3)
    loader = DataLoader(TensorDataset(demos.states, demos.actions), batch_size=BATCH_SIZE, shuffle=True)

    def own_updates() -> Iterator[None]:
        for indices in torch.randperm(len(demos)).split(BATCH_SIZE):
            agent.update(StateActions(demos.states[indices], demos.actions[indices]))
            yield

    def eager_updates() -> Iterator[None]:
        for states, actions in loader:
            adam.zero_grad()
            loss = torch.nn.functional.cross_entropy(plain(states), actions)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(plain.parameters(), 10.0)
            adam.step()
            loss.item()
            yield

    def rate(epoch: Callable[[], Iterator[None]]) -> Callable[[], float]:
        def measure() -> float:
            count, start = 0, time.perf_counter()
            while True:
                for _ in epoch():
                    count += 1
                    if (elapsed := time.perf_counter() - start) > seconds:
                        return count / elapsed

        return measure

    peer = Peer("imitation_peer.py", ".venv-imitation")
    with tempfile.TemporaryDirectory() as folder:
        file = write_transitions(demos, folder)
        peer.ask(do="bc_make", env_id="LunarLander-v2", demos=file, net_arch=[128, 128], batch_size=BATCH_SIZE, lr=1e-3)

    def imitation() -> float:
        return float(peer.ask(do="bc_rate", updates=PEER_UPDATES)["rate"])

    sizes = f"MLP 2x128, minibatch {BATCH_SIZE}"
    own = rate(own_updates)
    yield compare(f"BC update / imitation, {sizes}", "4x", "updates/s", own, imitation, min(turns, PEER_TURNS))
    peer.close()
    claim = f"BC update / plain eager loop (DataLoader, Adam, clipping as ours), {sizes}"
    yield compare(claim, "1.54x", "updates/s", own, rate(eager_updates), turns)


class _ReachedError(Exception):
    """An evaluation has reached the score."""


def score(_turns: int, _seconds: float) -> Iterator[Row]:
    """Seconds until an evaluation of 20 episodes is at what Table 1 holds BC to (see `goals.goal`).

    Over seeds 0, 1, 2, from the same 100 demonstrations, with the preset; the peer gets its network sizes,
    normalisation, minibatches and learning rate. Evaluations' time isn't counted.
    """
    warm_up()
    peer = Peer("imitation_peer.py", ".venv-imitation")
    for env_id in PAPER_ENVS:
        demos = Experiences.load(DEMOS / env_id / "demos.pkl")
        wanted = goal("BC", env_id, float(np.mean(demos.get_episode_rewards())))
        settings = SETTINGS["BC"][env_id]
        own, other = [], []
        with tempfile.TemporaryDirectory() as folder:
            command = {
                "do": "bc_solve",
                "env_id": env_id,
                "demos": write_transitions(demos, folder),
                "net_arch": [128, 128],
                "batch_size": settings.train["batch_size"],
                "lr": settings.agent["lr"],
                "threshold": wanted,
                "interval": INTERVAL,
                "episodes": 20,
            }
            for seed in SEEDS:
                own.append(seconds_to_score(env_id, demos, seed, wanted))
                limit = max(30.0, PATIENCE * own[-1]["seconds"])
                other.append(peer.ask(**command, seed=seed, max_seconds=limit))
        yield race(f"BC: seconds to {wanted:.2f} on {env_id} (updates)", "0.33x", own, other)
    peer.close()


def seconds_to_score(env_id: str, demos: Experiences, seed: int, wanted: float) -> dict[str, Any]:
    """Train with the preset, and stop when an evaluation is at the score."""
    spent, scores = 0.0, [-np.inf]
    with tempfile.TemporaryDirectory() as folder:
        own = make_algorithm("BC", env_id, seed, save_path=folder, progress=False)
        agent, original = own.agent, own.agent.update

        def update(batch: Any) -> dict[str, float]:
            nonlocal spent
            metrics = original(batch)
            if agent.updates % INTERVAL == 0:
                start = time.perf_counter()
                scores.append(float(np.mean(evaluate(agent, own.env, 20, seed=VALIDATION_SEED))))
                spent += time.perf_counter() - start
                if scores[-1] >= wanted:
                    raise _ReachedError
            return metrics

        agent.update = update  # type: ignore[method-assign]
        start = time.perf_counter()
        with suppress(_ReachedError):
            own.train(expert_demos=demos, **SETTINGS["BC"][env_id].train)
        seconds = time.perf_counter() - start - spent
        own.env.close()
    return {"seconds": seconds, "steps": agent.updates, "reached": scores[-1] >= wanted, "scores": scores[1:]}
