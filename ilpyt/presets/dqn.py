"""Settings of DQN; environments of continuous actions get a grid of three values in each dimension.

All were found by hand, on seeds 0 and 1 (on the landers 10 to 13), by evaluations on episodes that aren't test
episodes. What mattered on the landers: 6-step returns, with which seed 11 was at 282 after 180,000 env steps (1 step:
at 269 after 380,000; 3 steps: at 276 after 220,000, then back between 184 and 260); gamma 0.995, since with 0.99 the
best of 500,000 env steps was 263; a learning rate that falls fast at first; and a memory of 50,000 transitions, since
rewards over several steps go by the policies of their time. On the mountain cars: normalised inputs and random actions
that are held, without which no episode reaches the goal.
"""

from typing import Any

from ilpyt.envs import DiscretizeAction
from ilpyt.presets.settings import Settings
from ilpyt.utils.schedules import Linear, Piecewise

LANDER_ENV: dict[str, Any] = {"num_env": 16}
LANDER: dict[str, Any] = {
    "net": {"hidden_sizes": (128, 128)},
    "agent": {
        "lr": Piecewise(((0, 1e-3), (200_000, 1e-4), (500_000, 1e-5))),
        "gamma": 0.995,
        "batch_size": 128,
        "replay_ratio": 0.25,
        "replay_memory_size": 50_000,
        "learning_starts": 5000,
        "epsilon_end": 0.01,
        "epsilon_steps": 20_000,
        "tau": 0.005,
        "double": True,
        "n_step": 6,
        "reward_scale": 0.05,
    },
    "train": {"rollout_steps": 1, "num_steps": 500_000, "until": 288, "eval_interval": 20_000, "eval_episodes": 200},
}

DQN = {
    "CartPole-v0": Settings(
        env={"num_env": 8},
        net={"hidden_sizes": (128, 128)},
        agent={
            "lr": Linear(2e-3, 2e-4, 8000),
            "gamma": 0.99,
            "batch_size": 64,
            "replay_ratio": 0.5,
            "learning_starts": 1000,
            "epsilon_end": 0.04,
            "epsilon_steps": 8000,
            "tau": 1.0,
            "target_update_interval": 128,
            "double": True,
        },
        train={"rollout_steps": 32, "num_steps": 50_000, "until": 200, "eval_interval": 2000, "eval_episodes": 100},
    ),
    "MountainCar-v0": Settings(
        env={"num_env": 8},
        net={"hidden_sizes": (64, 64), "normalize": True},
        agent={
            "lr": Linear(1e-3, 5e-5, 120_000),
            "gamma": 0.99,
            "batch_size": 64,
            "replay_ratio": 0.25,
            "learning_starts": 1000,
            "epsilon_end": 0.02,
            "epsilon_steps": 20_000,
            "tau": 0.01,
            "double": True,
            "n_step": 5,
            "repeat_exponent": 1.5,
            "reward_scale": 0.1,
        },
        train={"rollout_steps": 2, "num_steps": 150_000, "until": -105, "eval_interval": 5000, "eval_episodes": 100},
    ),
    "MountainCarContinuous-v0": Settings(
        env={"num_env": 8, "wrappers": [DiscretizeAction]},
        net={"hidden_sizes": (128, 128), "normalize": True},
        agent={
            "lr": 1e-3,
            "gamma": 0.99,
            "batch_size": 64,
            "replay_ratio": 0.25,
            "learning_starts": 1000,
            "epsilon_end": 0.05,
            "epsilon_steps": 15_000,
            "tau": 0.01,
            "n_step": 5,
            "repeat_exponent": 1.5,
            "reward_scale": 0.1,
        },
        train={"rollout_steps": 2, "num_steps": 100_000, "until": 92, "eval_interval": 5000, "eval_episodes": 100},
    ),
    "LunarLander-v2": Settings(env=LANDER_ENV, **LANDER),
    "LunarLanderContinuous-v2": Settings(env={**LANDER_ENV, "wrappers": [DiscretizeAction]}, **LANDER),
}
