"""Settings of GAIL.

All were found by hand, on seeds 0 to 3, by evaluations on validation episodes; the learners are PPO's or close to it.
What mattered: the form of the reward. On CartPole and the landers a positive one (with the logit, LunarLander ended at
194 after 200,000 env steps, with `softplus` at 247 after 82,000); on the mountain cars, where the expert comes to an
end, one of either sign. On LunarLander gamma 0.99: with 0.995 one of three seeds hadn't reached 235 after 300,000 env
steps. On LunarLanderContinuous it took a warm start to come within 3% of the expert: without one, after 200,000 to
300,000 env steps, four settings ended at 86 to 224.
"""

from typing import Any

from ilpyt.presets.settings import Settings
from ilpyt.utils.schedules import Linear

LEARNER: dict[str, Any] = {"num_epochs": 10, "batch_size": 256}
CAR_LEARNER = {**LEARNER, "lr": Linear(1e-3, 0, 500_000), "gamma": 0.99, "gae_lambda": 0.95, "reward_scale": 0.1}
LANDER_LEARNER = {**LEARNER, "lr": Linear(1e-3, 0, 300_000), "gamma": 0.99, "gae_lambda": 0.95, "reward_scale": 0.1}
CLONED_LEARNER = {**LEARNER, "lr": Linear(3e-4, 0, 300_000), "gamma": 0.995, "gae_lambda": 0.97, "reward_scale": 0.05}
DISC: dict[str, Any] = {
    "disc": {"hidden_sizes": (64, 64)},
    "batch_size": 512,
    "num_disc_updates": 8,
    "replay_memory_size": 20_000,
}
EVALUATE: dict[str, Any] = {"rollout_steps": 128, "eval_interval": 10_000, "eval_episodes": 100}

CAR: dict[str, Any] = {
    "env": {"num_env": 16},
    "net": {"hidden_sizes": (64, 64), "normalize": True},
    "agent": {"learner": CAR_LEARNER, "reward": "logit", **DISC},
}

GAIL = {
    "CartPole-v0": Settings(
        env={"num_env": 8},
        net={"hidden_sizes": (64, 64)},
        agent={
            "learner": {
                **LEARNER,
                "lr": Linear(2e-3, 0, 100_000),
                "gamma": 0.98,
                "gae_lambda": 0.95,
            },
            "disc": {"hidden_sizes": (64, 64)},
        },
        train={"rollout_steps": 32, "num_steps": 100_000, "until": 200, "eval_interval": 2000, "eval_episodes": 300},
    ),
    "MountainCar-v0": Settings(**CAR, train={"num_steps": 400_000, "until": -104, **EVALUATE}),
    "MountainCarContinuous-v0": Settings(**CAR, train={"num_steps": 200_000, "until": 93, **EVALUATE}),
    "LunarLander-v2": Settings(
        env={"num_env": 16},
        net={"hidden_sizes": (64, 64)},
        agent={"learner": LANDER_LEARNER, **DISC},
        train={"num_steps": 300_000, "until": 235, **EVALUATE},
    ),
    "LunarLanderContinuous-v2": Settings(
        env={"num_env": 16},
        net={"hidden_sizes": (64, 64), "log_std": -1.0},
        agent={"learner": {**CLONED_LEARNER, "num_epochs": 5}, **DISC},
        train={"num_steps": 150_000, "until": 280, "warm_start_epochs": 30, **EVALUATE},
    ),
}
