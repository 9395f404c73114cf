"""Settings of apprenticeship learning.

All were found by hand, on seeds 0 to 4, by evaluations on validation episodes. What mattered: random Fourier features
of state and action, wide ones on the landers; the max-margin method, which needs about half of the projection's env
steps on LunarLander; noise that keeps its direction on the mountain cars; on LunarLander few updates for each reward,
or policies go past the expert, now on one side, now on the other. On CartPole no return stops it: all 15 policies are
compared with the expert, and the closest one is kept.
"""

from typing import Any

from ilpyt.presets.settings import Settings
from ilpyt.utils.schedules import Linear

LEARNER: dict[str, Any] = {"num_epochs": 10, "batch_size": 256}
LANDER: dict[str, Any] = {
    "env": {"num_env": 16},
    "agent": {**LEARNER, "lr": 5e-4, "gamma": 0.99, "gae_lambda": 0.95, "reward_scale": 0.5},
    "train": {
        "num_episodes": 40,
        "batch_size": 128,
        "num_train": 6,
        "features": {"num_features": 512},
        "until": 230,
        "evaluation_episodes": 100,
    },
}

APPL = {
    "CartPole-v0": Settings(
        env={"num_env": 8},
        net={"hidden_sizes": (64, 64)},
        agent={**LEARNER, "lr": Linear(1e-3, 1e-4, 60_000), "gamma": 0.98, "gae_lambda": 0.95, "reward_scale": 0.5},
        train={"num_episodes": 15, "batch_size": 32, "num_train": 16, "evaluation_episodes": 100},
    ),
    "MountainCar-v0": Settings(
        env={"num_env": 16},
        net={"hidden_sizes": (64, 64), "normalize": True, "noise_correlation": 0.95},
        agent={
            **LEARNER,
            "lr": Linear(1e-3, 1e-4, 300_000),
            "gamma": 0.99,
            "gae_lambda": 0.95,
            "entropy_coeff": 0.01,
            "reward_scale": 0.1,
        },
        train={
            "num_episodes": 40,
            "batch_size": 128,
            "num_train": 4,
            "features": {"num_features": 512, "bandwidth": 0.5},
            "until": -104,
            "evaluation_episodes": 100,
        },
    ),
    "MountainCarContinuous-v0": Settings(
        env={"num_env": 16},
        net={"hidden_sizes": (64, 64), "normalize": True, "noise_correlation": 0.9},
        agent={**LEARNER, "lr": 1e-3, "gamma": 0.99, "gae_lambda": 0.95, "reward_scale": 0.5},
        train={
            "num_episodes": 40,
            "batch_size": 128,
            "num_train": 4,
            "features": {"bandwidth": 0.6},
            "until": 93,
            "evaluation_episodes": 100,
        },
    ),
    "LunarLander-v2": Settings(
        **{**LANDER, "train": {**LANDER["train"], "num_episodes": 80, "num_train": 3}}, net={"hidden_sizes": (64, 64)}
    ),
    "LunarLanderContinuous-v2": Settings(net={"hidden_sizes": (64, 64), "log_std": -0.5}, **LANDER),
}
