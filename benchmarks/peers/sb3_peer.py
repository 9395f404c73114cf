"""stable-baselines3, driven by `speed.py` over a pipe; it runs in the environment that `make bench-env` makes.

See `peer.py` for the protocol. `{"do": "make", ...}` makes a model at given hyper-parameters, `{"do": "train",
"steps": n}` trains it on and gives the seconds, `{"do": "solve", ...}` trains with the hyper-parameters that
rl-baselines3-zoo publishes until an evaluation reaches a threshold, and gives the seconds without those of evaluations.
"""

import sys
import time
import warnings
from typing import Any

import torch
from peer import UNDRAWN, answer
from stable_baselines3 import A2C, DQN, PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy

ALGORITHMS = {"A2C": A2C, "DQN": DQN, "PPO": PPO}


def falling(value: float) -> Any:
    """A linear schedule to 0 at the end of the budget."""
    return lambda remaining: remaining * value


# https://github.com/DLR-RM/rl-baselines3-zoo, folder hyperparams: environments, env steps, keywords of the algorithm
LANDER = {"n_steps": 1024, "batch_size": 64, "gae_lambda": 0.98, "gamma": 0.999, "n_epochs": 4, "ent_coef": 0.01}
ZOO: dict[tuple[str, str], tuple[int, int, dict[str, Any]]] = {
    ("PPO", "CartPole"): (
        8,
        100_000,
        {
            "n_steps": 32,
            "batch_size": 256,
            "gae_lambda": 0.8,
            "gamma": 0.98,
            "n_epochs": 20,
            "ent_coef": 0.0,
            "learning_rate": falling(1e-3),
            "clip_range": falling(0.2),
        },
    ),
    ("PPO", "LunarLander"): (16, 1_000_000, LANDER),
    ("PPO", "LunarLanderContinuous"): (16, 1_000_000, LANDER),
    ("A2C", "CartPole"): (8, 500_000, {"ent_coef": 0.0}),
    ("A2C", "LunarLander"): (
        8,
        200_000,
        {"gamma": 0.995, "n_steps": 5, "learning_rate": falling(8.3e-4), "ent_coef": 1e-5},
    ),
    ("DQN", "CartPole"): (
        1,
        50_000,
        {
            "learning_rate": 2.3e-3,
            "batch_size": 64,
            "buffer_size": 100_000,
            "learning_starts": 1000,
            "gamma": 0.99,
            "target_update_interval": 10,
            "train_freq": 256,
            "gradient_steps": 128,
            "exploration_fraction": 0.16,
            "exploration_final_eps": 0.04,
            "policy_kwargs": {"net_arch": [256, 256]},
        },
    ),
    ("DQN", "LunarLander"): (
        1,
        200_000,  # published for 100,000
        {
            "learning_rate": 6.3e-4,
            "batch_size": 128,
            "buffer_size": 50_000,
            "learning_starts": 0,
            "gamma": 0.99,
            "target_update_interval": 250,
            "train_freq": 4,
            "gradient_steps": -1,
            "exploration_fraction": 0.06,  # 0.12 of 100,000
            "exploration_final_eps": 0.1,
            "policy_kwargs": {"net_arch": [256, 256]},
        },
    ),
}


class StopAtThreshold(BaseCallback):
    """Stops at an evaluation that reaches a threshold, or after some time; keeps the time that evaluations took."""

    def __init__(self, env_id: str, threshold: float, interval: int, episodes: int, max_seconds: float) -> None:
        super().__init__()
        self.eval_env = make_vec_env(env_id, 1, seed=2_000_000, env_kwargs=UNDRAWN)
        self.threshold, self.interval, self.episodes = threshold, interval, episodes
        self.due = interval
        self.start, self.max_seconds = time.perf_counter(), max_seconds
        self.seconds = 0.0
        self.scores: list[tuple[int, float]] = []

    def _on_step(self) -> bool:
        if self.num_timesteps < self.due:
            return True
        self.due += self.interval
        start = time.perf_counter()
        score, _ = evaluate_policy(self.model, self.eval_env, self.episodes, deterministic=True, warn=False)
        self.seconds += time.perf_counter() - start
        self.scores.append((self.num_timesteps, float(score)))
        return score < self.threshold and time.perf_counter() - self.start - self.seconds < self.max_seconds


class Peer:
    """Answers commands."""

    model: Any = None

    def make(self, algo: str, env_id: str, num_envs: int, kwargs: dict[str, Any], frames: bool) -> dict[str, Any]:
        """A model with given hyper-parameters; its environments make frames, as is the default, or don't."""
        policy = {"net_arch": kwargs.pop("net_arch")}
        if algo == "A2C":
            kwargs["use_rms_prop"] = False  # Adam, as here
        env = make_vec_env(env_id, num_envs, seed=0, env_kwargs=None if frames else UNDRAWN)
        self.model = ALGORITHMS[algo]("MlpPolicy", env, device="cpu", policy_kwargs=policy, seed=0, **kwargs)
        return {}

    def train(self, steps: int) -> dict[str, Any]:
        """Train the model on."""
        start, before = time.perf_counter(), self.model.num_timesteps
        self.model.learn(steps, reset_num_timesteps=before == 0)
        return {"seconds": time.perf_counter() - start, "steps": self.model.num_timesteps - before}

    def solve(self, algo: str, env_id: str, seed: int, threshold: float, **stop_kwargs: Any) -> dict[str, Any]:
        """Train with published hyper-parameters until an evaluation reaches the threshold, or for some time."""
        num_envs, steps, kwargs = ZOO[algo, env_id.split("-")[0]]
        env = make_vec_env(env_id, num_envs, seed=seed, env_kwargs=UNDRAWN)
        model = ALGORITHMS[algo]("MlpPolicy", env, device="cpu", seed=seed, **kwargs)
        stop = StopAtThreshold(env_id, threshold, **stop_kwargs)
        start = time.perf_counter()
        model.learn(steps, callback=stop)
        seconds = time.perf_counter() - start - stop.seconds
        reached = bool(stop.scores) and stop.scores[-1][1] >= threshold
        return {"seconds": seconds, "steps": model.num_timesteps, "reached": reached, "scores": stop.scores}


if __name__ == "__main__":
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    answer(Peer(), sys.stdin, sys.stdout)
