"""The `imitation` library, driven by `speed.py` over a pipe; it runs in the environment that `make bench-env` makes.

It gets our hyper-parameters, demonstrations, network sizes and stop rule. See `peer.py` for the protocol.
"""

import sys
import time
import warnings
from contextlib import suppress
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from imitation.algorithms import bc
from imitation.algorithms.adversarial.gail import GAIL
from imitation.data.types import Transitions
from imitation.policies.base import NormalizeFeaturesExtractor
from imitation.rewards.reward_nets import BasicRewardNet
from imitation.util.networks import RunningNorm
from peer import UNDRAWN, answer
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.policies import ActorCriticPolicy


class ReachedError(Exception):
    """An evaluation has reached the score, or time is up."""


def transitions(file: str) -> Transitions:
    """Demonstrations as this library takes them."""
    arrays = np.load(file)
    return Transitions(infos=np.array([{}] * len(arrays["obs"])), **arrays)


class Peer:
    """Answers commands."""

    trainer: Any = None

    def bc_make(
        self,
        env_id: str,
        demos: str,
        net_arch: list[int],
        batch_size: int,
        lr: float,
        seed: int = 0,
        normalize: bool = False,
    ) -> dict[str, Any]:
        """A trainer of behavioral cloning, without what it would add to the loss by default."""
        torch.manual_seed(seed)
        env = make_vec_env(env_id, 1, env_kwargs=UNDRAWN)
        extractor = {"features_extractor_class": NormalizeFeaturesExtractor} if normalize else {}
        policy = ActorCriticPolicy(
            env.observation_space,
            env.action_space,
            lambda _: lr,
            net_arch=net_arch,
            activation_fn=torch.nn.ReLU,
            **extractor,
        )
        self.trainer = bc.BC(
            observation_space=env.observation_space,
            action_space=env.action_space,
            rng=np.random.default_rng(seed),
            policy=policy,
            demonstrations=transitions(demos),
            batch_size=batch_size,
            optimizer_kwargs={"lr": lr},
            ent_weight=0.0,
            l2_weight=0.0,
            device="cpu",
        )
        return {}

    def bc_rate(self, updates: int) -> dict[str, Any]:
        """Gradient updates a second."""
        start = time.perf_counter()
        self.trainer.train(n_batches=updates, progress_bar=False)
        return {"rate": updates / (time.perf_counter() - start)}

    def bc_solve(
        self,
        env_id: str,
        seed: int,
        threshold: float,
        interval: int,
        episodes: int,
        max_seconds: float,
        **make_kwargs: Any,
    ) -> dict[str, Any]:
        """Train until an evaluation reaches the threshold, or for some time."""
        self.bc_make(env_id, seed=seed, normalize=True, **make_kwargs)
        eval_env = make_vec_env(env_id, 1, seed=2_000_000, env_kwargs=UNDRAWN)
        count, spent, scores = 0, 0.0, [-np.inf]

        def on_batch_end() -> None:
            nonlocal count, spent
            count += 1
            if count % interval == 0:
                now = time.perf_counter()
                score, _ = evaluate_policy(self.trainer.policy, eval_env, episodes, deterministic=True, warn=False)
                scores.append(float(score))
                spent += time.perf_counter() - now
                if score >= threshold or now - start - spent > max_seconds:
                    raise ReachedError

        start = time.perf_counter()
        with suppress(ReachedError):
            self.trainer.train(n_epochs=10**6, on_batch_end=on_batch_end, progress_bar=False)
        seconds = time.perf_counter() - start - spent
        return {"seconds": seconds, "steps": count, "reached": scores[-1] >= threshold, "scores": scores[1:]}

    def gail(
        self,
        env_id: str,
        seed: int,
        demos: str,
        num_envs: int,
        budget: int,
        ppo: dict[str, Any],
        lr: tuple[float, int],
        net_arch: list[int],
        disc: dict[str, Any],
        threshold: float,
        interval: int,
        episodes: int,
        max_seconds: float,
    ) -> dict[str, Any]:
        """Train until an evaluation reaches the threshold, or for some time."""
        env, eval_env = (
            make_vec_env(env_id, num_envs, seed=seed, env_kwargs=UNDRAWN),
            make_vec_env(env_id, 1, seed=2_000_000, env_kwargs=UNDRAWN),
        )
        assert isinstance(env.action_space, spaces.Discrete)
        policy = {"net_arch": net_arch, "activation_fn": torch.nn.ReLU}
        start_lr, lr_steps = lr

        def falling(_: float) -> float:  # by env steps: each call of `train` counts its own progress
            return float(start_lr * max(0.0, 1 - (learner.num_timesteps / lr_steps if made else 0.0)))

        made = False
        learner = PPO("MlpPolicy", env, device="cpu", seed=seed, policy_kwargs=policy, learning_rate=falling, **ppo)
        made = True
        reward = BasicRewardNet(
            env.observation_space, env.action_space, normalize_input_layer=RunningNorm, hid_sizes=net_arch
        )
        trainer = GAIL(
            demonstrations=transitions(demos),
            venv=env,
            gen_algo=learner,
            reward_net=reward,
            allow_variable_horizon=True,
            **disc,
        )
        seconds, scores = 0.0, []
        while seconds < max_seconds and learner.num_timesteps < budget:
            start = time.perf_counter()
            trainer.train(max(interval, trainer.gen_train_timesteps))
            seconds += time.perf_counter() - start
            score, _ = evaluate_policy(trainer.policy, eval_env, episodes, deterministic=True, warn=False)
            scores.append((learner.num_timesteps, float(score)))
            if score >= threshold:
                break
        reached = scores[-1][1] >= threshold
        return {"seconds": seconds, "steps": learner.num_timesteps, "reached": reached, "scores": scores}


if __name__ == "__main__":
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    answer(Peer(), sys.stdin, sys.stdout)
