"""Vectorized environments, and rollouts in them."""

import time
from collections.abc import Callable
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


def vecenv(turns: int, seconds: float) -> list[Row]:
    """Vectorized environments against those of gymnasium and stable-baselines3, and EnvPool's simulators in C++."""
    rows = []
    others = Peer("envs_peer.py", ".venv-peers")
    for env_id, goal in GOALS.items():
        name = env_id.split("-")[0]
        own = {kind: build_env(env_id, NUM_ENVS, vecenv_type=kind) for kind in ("dummy", "subproc")}
        peers = {mode: gymnasium.make_vec(env_id, NUM_ENVS, vectorization_mode=mode) for mode in ("sync", "async")}
        for env in (*own.values(), *peers.values()):
            env.reset(seed=0)

        def rate(env: Any, n: int = own["dummy"].num_actions) -> Callable[[], float]:
            return lambda: step_rate(env, n, seconds)

        def other(kind: str, env_id: str = env_id) -> Callable[[], float]:
            others.ask(do="make", kind=kind, env_id=env_id, num_envs=NUM_ENVS)
            return lambda: float(others.ask(do="rate", seconds=seconds)["rate"])

        def add(claim: str, goal: str, own: Callable[[], float], peer: Callable[[], float], name: str = name) -> None:
            rows.append(compare(f"{name}: {claim}", goal, "env steps/s", own, peer, turns))

        dummy, subproc = rate(own["dummy"]), rate(own["subproc"])
        add("DummyVecEnv / gymnasium SyncVectorEnv", "1x", dummy, rate(peers["sync"]))
        add("SubProcVecEnv / gymnasium AsyncVectorEnv", goal, subproc, rate(peers["async"]))
        add("SubProcVecEnv / own DummyVecEnv", "1.4x" if name == "LunarLander" else "none", subproc, dummy)
        for env in peers.values():
            env.close()
        add("DummyVecEnv / stable-baselines3 DummyVecEnv", "1x", dummy, other("DummyVecEnv"))
        add("SubProcVecEnv / stable-baselines3 SubprocVecEnv", goal, subproc, other("SubprocVecEnv"))
        add("the faster of both / EnvPool", "none", max(dummy, subproc, key=lambda f: f()), other("EnvPool"))
        for env in own.values():
            env.close()
    others.close()
    return rows


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


def rollout(turns: int, seconds: float) -> list[Row]:
    """Acting by a policy and gathering batches, against a bare loop over the environments without either."""
    torch.set_num_threads(1)
    rows = []
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
        rows.append(compare(claim, "0.4x", "env steps/s", own, raw, turns))
        env.close()
    return rows
