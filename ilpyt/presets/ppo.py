"""Settings of PPO.

All were found by hand, on seed 0, by evaluations on validation episodes. What mattered: rewards scaled so that
returns are a few units, since the two networks' gradients are clipped together; on the landers gamma 0.995 instead of
0.99, with which they hover rather than land; on the mountain cars normalised inputs and noise that keeps its
direction, without which no episode reaches the goal.
"""

from ilpyt.presets.settings import Settings
from ilpyt.utils.schedules import Linear

LANDER = Settings(
    env={"num_env": 16},
    net={"hidden_sizes": (64, 64)},
    agent={
        "lr": Linear(1e-3, 0, 500_000),
        "gamma": 0.995,
        "gae_lambda": 0.97,
        "num_epochs": 10,
        "batch_size": 256,
        "reward_scale": 0.05,
    },
    train={"rollout_steps": 128, "num_steps": 500_000, "until": 250, "eval_interval": 20_000, "eval_episodes": 100},
)

PPO = {
    "CartPole-v0": Settings(
        env={"num_env": 8},
        net={"hidden_sizes": (64, 64)},
        agent={
            "lr": Linear(2e-3, 0, 100_000),
            "gamma": 0.98,
            "gae_lambda": 0.8,
            "num_epochs": 10,
            "batch_size": 256,
            "reward_scale": 0.1,
        },
        train={"rollout_steps": 32, "num_steps": 100_000, "until": 200, "eval_interval": 2000, "eval_episodes": 100},
    ),
    "MountainCar-v0": Settings(
        env={"num_env": 16},
        net={"hidden_sizes": (64, 64), "normalize": True, "noise_correlation": 0.9},
        agent={
            "lr": Linear(1e-3, 0, 400_000),
            "gamma": 0.99,
            "gae_lambda": 0.95,
            "num_epochs": 10,
            "batch_size": 256,
            "entropy_coeff": 0.01,
            "reward_scale": 0.1,
        },
        train={
            "rollout_steps": 128,
            "num_steps": 400_000,
            "until": -105,
            "eval_interval": 10_000,
            "eval_episodes": 100,
        },
    ),
    "MountainCarContinuous-v0": Settings(
        env={"num_env": 16},
        net={"hidden_sizes": (64, 64), "normalize": True, "noise_correlation": 0.95},
        agent={
            "lr": Linear(1e-3, 0, 200_000),
            "gamma": 0.99,
            "gae_lambda": 0.95,
            "num_epochs": 10,
            "batch_size": 256,
            "reward_scale": 0.05,
        },
        train={
            "rollout_steps": 128,
            "num_steps": 200_000,
            "until": 93.5,
            "eval_interval": 10_000,
            "eval_episodes": 100,
        },
    ),
    "LunarLander-v2": LANDER,
    "LunarLanderContinuous-v2": LANDER,
}
