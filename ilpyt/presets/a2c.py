"""Settings of A2C.

All were found by hand, on seed 0, by evaluations on validation episodes. What mattered beside what matters to PPO: on
the landers gamma 0.999; with less, they mostly learn to hover until the time is up.
"""

from ilpyt.presets.settings import Settings
from ilpyt.utils.schedules import Linear

A2C = {
    "CartPole-v0": Settings(
        env={"num_env": 8},
        net={"hidden_sizes": (64, 64), "activation": "tanh"},
        agent={"lr": 2e-3, "gamma": 0.99},
        train={"rollout_steps": 5, "num_steps": 200_000, "until": 200, "eval_interval": 2000, "eval_episodes": 100},
    ),
    "MountainCar-v0": Settings(
        env={"num_env": 16},
        net={"hidden_sizes": (64, 64), "activation": "tanh", "normalize": True, "noise_correlation": 0.95},
        agent={
            "lr": Linear(2e-3, 0, 1_200_000),
            "gamma": 0.99,
            "gae_lambda": 1.0,
            "entropy_coeff": 0.02,
            "reward_scale": 0.1,
        },
        train={
            "rollout_steps": 32,
            "num_steps": 1_200_000,
            "until": -106,
            "eval_interval": 20_000,
            "eval_episodes": 100,
        },
    ),
    "MountainCarContinuous-v0": Settings(
        env={"num_env": 16},
        net={"hidden_sizes": (64, 64), "normalize": True, "noise_correlation": 0.95},
        agent={"lr": Linear(1e-3, 0, 400_000), "gamma": 0.99, "gae_lambda": 0.95, "reward_scale": 0.05},
        train={"rollout_steps": 16, "num_steps": 400_000, "until": 93.5, "eval_interval": 10_000, "eval_episodes": 100},
    ),
    "LunarLander-v2": Settings(
        env={"num_env": 16},
        net={"hidden_sizes": (64, 64)},
        agent={
            "lr": Linear(1.5e-3, 0, 2_500_000),
            "gamma": 0.999,
            "gae_lambda": 0.95,
            "entropy_coeff": 0.01,
            "reward_scale": 0.02,
        },
        train={"rollout_steps": 8, "num_steps": 2_500_000, "until": 230, "eval_interval": 25_000, "eval_episodes": 100},
    ),
    "LunarLanderContinuous-v2": Settings(
        env={"num_env": 16},
        net={"hidden_sizes": (64, 64), "log_std": -0.5},
        agent={"lr": Linear(1.5e-3, 0, 2_500_000), "gamma": 0.999, "gae_lambda": 0.95, "reward_scale": 0.02},
        train={"rollout_steps": 8, "num_steps": 2_000_000, "until": 225, "eval_interval": 50_000, "eval_episodes": 100},
    ),
}
