"""Settings of guided cost learning.

All were found by hand, on seed 0, by evaluations on validation episodes. CartPole begins with a random policy, others
with a clone of the expert; the paper's algorithm leaves it open. With a random one, LunarLander was at 89 after 250,000
env steps, and on the mountain cars no episode reaches the goal.
"""

from typing import Any

from ilpyt.presets.settings import Settings
from ilpyt.utils.schedules import Linear

LEARNER: dict[str, Any] = {
    "lr": Linear(1e-3, 0, 500_000),
    "gamma": 0.99,
    "gae_lambda": 0.95,
    "num_epochs": 10,
    "batch_size": 256,
    "reward_scale": 0.1,
}
COST: dict[str, Any] = {"cost": {"hidden_sizes": (64, 64)}}
CAR: dict[str, Any] = {
    "env": {"num_env": 16},
    "net": {"hidden_sizes": (64, 64), "normalize": True},
    "agent": {"learner": LEARNER, **COST},
}
LANDER_AGENT: dict[str, Any] = {"learner": {**LEARNER, "lr": Linear(3e-4, 0, 500_000), "num_epochs": 5}, **COST}
EVALUATE: dict[str, Any] = {"eval_interval": 10_000, "eval_episodes": 100}

GCL = {
    "CartPole-v0": Settings(
        env={"num_env": 8},
        net={"hidden_sizes": (64, 64)},
        agent={"learner": {**LEARNER, "lr": 1e-3, "gamma": 0.98, "gae_lambda": 0.9}, **COST},
        train={"num_steps": 200_000, "until": 200, "eval_interval": 5000, "eval_episodes": 300},
    ),
    "MountainCar-v0": Settings(**CAR, train={"num_steps": 200_000, "until": -104, "warm_start": True, **EVALUATE}),
    "MountainCarContinuous-v0": Settings(
        **CAR, train={"num_steps": 200_000, "until": 93, "warm_start": True, **EVALUATE}
    ),
    "LunarLander-v2": Settings(
        env={"num_env": 16},
        net={"hidden_sizes": (64, 64)},
        agent=LANDER_AGENT,
        train={"num_steps": 200_000, "until": 235, "warm_start": True, **EVALUATE},
    ),
    "LunarLanderContinuous-v2": Settings(
        env={"num_env": 16},
        net={"hidden_sizes": (64, 64), "log_std": -1.0},
        agent=LANDER_AGENT,
        train={"num_steps": 150_000, "until": 280, "warm_start": True, **EVALUATE},
    ),
}
