"""The `imitation` library, driven by `speed.py` over a pipe; it runs in the environment that `make bench-env` makes.

It gets our hyper-parameters, demonstrations, network sizes and stop rule. See `peer.py` for the protocol.
"""

import sys
import time
import warnings
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from imitation.algorithms.adversarial.gail import GAIL
from imitation.data.types import Transitions
from imitation.rewards.reward_nets import BasicRewardNet
from imitation.util.networks import RunningNorm
from peer import answer
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy


class Peer:
    """Answers commands."""

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
        env, eval_env = make_vec_env(env_id, num_envs, seed=seed), make_vec_env(env_id, 1, seed=2_000_000)
        arrays = np.load(demos)
        infos = np.array([{}] * len(arrays["obs"]))
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
            demonstrations=Transitions(infos=infos, **arrays),
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
