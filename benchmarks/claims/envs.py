"""Vectorized environments, and rollouts in them."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import gymnasium
import numpy as np
import torch
from claims.measure import Row, compare
from peers.peer import Peer

from ilpyt.algos import PPO
from ilpyt.envs import VecEnv, build_env
from ilpyt.runners import Runner

NUM_ENVS = 16
GOALS = {"CartPole-v1": "6x", "LunarLander-v3": "4x"}  # of worker processes


def vecenv(turns: int, seconds: float) -> Iterator[Row]:
    """Vectorized environments against those of gymnasium and stable-baselines3, and EnvPool's simulators in C++."""
    others = Peer("envs_peer.py", ".venv-peers")
    for env_id, goal in GOALS.items():
        name = env_id.split("-")[0]
        dummy, subproc = (build_env(env_id, NUM_ENVS, vecenv_type=kind) for kind in ("dummy", "subproc"))
        sync, asynchronous = (gymnasium.make_vec(env_id, NUM_ENVS, vectorization_mode=m) for m in ("sync", "async"))

        def rate(env: Any, num_actions: int = dummy.num_actions) -> Callable[[], float]:
            env.reset(seed=0)
            return lambda: step_rate(env, num_actions, seconds)

        def other_rate(kind: str, env_id: str = env_id) -> Callable[[], float] | None:
            if others.ask(do="make", kind=kind, env_id=env_id, num_envs=NUM_ENVS):
                return None
            return lambda: float(others.ask(do="rate", seconds=seconds)["rate"])

        def row(claim: str, goal: str, own: Any, peer: Callable[[], float], name: str = name) -> Row:
            return compare(f"{name}: {claim}", goal, "env steps/s", rate(own), peer, turns)

        yield row("DummyVecEnv / gymnasium SyncVectorEnv", "1x", dummy, rate(sync))
        yield row("SubProcVecEnv / gymnasium AsyncVectorEnv", goal, subproc, rate(asynchronous))
        sync.close()
        asynchronous.close()
        gain = row("SubProcVecEnv / own DummyVecEnv", "1.4x" if name == "LunarLander" else "-", subproc, rate(dummy))
        yield gain
        for kind, env, wanted in (("DummyVecEnv", dummy, "1x"), ("SubprocVecEnv", subproc, goal)):
            peer = other_rate(kind)
            assert peer is not None
            yield row(f"{type(env).__name__} / stable-baselines3 {kind}", wanted, env, peer)
        faster = subproc if gain.data["ratio"] > 1 else dummy
        if peer := other_rate("EnvPool"):
            yield row(f"{type(faster).__name__} / EnvPool, environments in C++", "-", faster, peer)
        dummy.close()
        subproc.close()
    others.close()


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


def rollout(turns: int, seconds: float) -> Iterator[Row]:
    """Acting by a policy and gathering batches, against a bare loop over the environments without either."""
    torch.set_num_threads(1)
    for env_id in GOALS:
        env = build_env(env_id, NUM_ENVS)
        runner = Runner(env, PPO.make_agent(env, net={"activation": "tanh", "hidden_sizes": (64, 64)}))
        bare = [gymnasium.make(env_id, disable_env_checker=True) for _ in range(NUM_ENVS)]
        for i, each in enumerate(bare):
            each.reset(seed=i)
        actions = np.random.default_rng(0).integers(0, env.num_actions, (1000, NUM_ENVS))

        def own(runner: Runner = runner) -> float:
            count, start = 0, time.perf_counter()
            while (elapsed := time.perf_counter() - start) < seconds:
                count += runner.generate_batch(32).rewards.numel()
            return count / elapsed

        def raw(bare: list[gymnasium.Env] = bare, actions: np.ndarray = actions) -> float:
            count, start = 0, time.perf_counter()
            while (elapsed := time.perf_counter() - start) < seconds:
                for row in actions[:32]:
                    for each, action in zip(bare, row, strict=True):
                        _, _, terminated, truncated, _ = each.step(action)
                        if terminated or truncated:
                            each.reset()
                count += 32 * NUM_ENVS
            return count / elapsed

        claim = f"{env_id.split('-')[0]}: rollouts with a policy (2 x 64) / bare environments in a loop"
        yield compare(claim, "0.4x", "env steps/s", own, raw, turns)
        env.close()
