"""What is known about the paper's five environments: thresholds, experts, the paper's results, settings that work.

All of it is data; nothing in the library branches on an environment.
"""

from dataclasses import dataclass, field
from typing import Any

from ilpyt.agents.heuristic_agent import (
    CartPoleHeuristicAgent,
    HeuristicAgent,
    LunarLanderContinuousHeuristicAgent,
    LunarLanderHeuristicAgent,
    MountainCarContinuousHeuristicAgent,
    MountainCarHeuristicAgent,
)


@dataclass(frozen=True)
class Settings:
    """Keywords that an algorithm learns an environment with.

    Attributes:
        env: of `build_env`.
        net: of `choose_net`.
        agent: of the agent.
        train: of the algorithm's `train`.
    """

    env: dict[str, Any] = field(default_factory=dict)
    net: dict[str, Any] = field(default_factory=dict)
    agent: dict[str, Any] = field(default_factory=dict)
    train: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class PaperEnv:
    """An environment of the paper.

    Attributes:
        threshold: mean return over 100 episodes at which it counts as solved (the paper, Table 1).
        expert: the scripted expert that its demonstrations come from.
        paper: the paper's Table 1: mean and standard deviation of the return by algorithm, and of the 'Expert'.
        settings: those that work, by algorithm.
    """

    threshold: float
    expert: type[HeuristicAgent]
    paper: dict[str, tuple[float, float]]
    settings: dict[str, Settings]


# One setting clones all five experts. Normalised inputs matter to MountainCar, whose velocities are 20 times smaller
# than its positions. Learning rate, batch size and patience had the least loss on held-out episodes of LunarLander-v2
# (0.029 and 0.037 for seeds 0 and 1; 0.062 and 0.061 with 1e-3, 64, 15); returns played no part in choosing them.
BC = Settings(net={"normalize": True}, agent={"lr": 3e-3}, train={"num_epochs": 200, "batch_size": 64, "patience": 30})

PAPER_ENVS: dict[str, PaperEnv] = {
    "CartPole-v0": PaperEnv(
        threshold=200,
        expert=CartPoleHeuristicAgent,
        paper={
            "Expert": (200.00, 0.00),
            "BC": (200.00, 0.00),
            "DAgger": (200.00, 0.00),
            "GAIL": (200.00, 0.00),
            "GCL": (200.00, 0.00),
            "AppL": (200.00, 0.00),
        },
        settings={"BC": BC},
    ),
    "MountainCar-v0": PaperEnv(
        threshold=-110,
        expert=MountainCarHeuristicAgent,
        paper={
            "Expert": (-98.71, 7.83),
            "BC": (-100.800, 13.797),
            "DAgger": (-102.36, 15.38),
            "GAIL": (-104.31, 17.21),
            "AppL": (-108.60, 22.843),
        },
        settings={"BC": BC},
    ),
    "MountainCarContinuous-v0": PaperEnv(
        threshold=90,
        expert=MountainCarContinuousHeuristicAgent,
        paper={
            "Expert": (93.36, 0.05),
            "BC": (93.353, 0.113),
            "DAgger": (93.20, 0.17),
            "GAIL": (79.78, 6.23),
        },
        settings={"BC": BC},
    ),
    "LunarLander-v2": PaperEnv(
        threshold=200,
        expert=LunarLanderHeuristicAgent,
        paper={
            "Expert": (268.09, 21.18),
            "BC": (244.295, 97.765),
            "DAgger": (230.15, 122.604),
            "GAIL": (201.88, 93.82),
            "GCL": (212.321, 119.933),
            "DQN": (281.96, 24.57),
            "A2C": (201.26, 62.52),
            "PPO": (249.72, 75.05),
        },
        settings={"BC": BC},
    ),
    "LunarLanderContinuous-v2": PaperEnv(
        threshold=200,
        expert=LunarLanderContinuousHeuristicAgent,
        paper={
            "Expert": (283.83, 17.70),
            "BC": (285.895, 14.584),
            "DAgger": (285.85, 14.61),
            "GAIL": (282.00, 31.73),
            "GCL": (255.414, 76.917),
        },
        settings={"BC": BC},
    ),
}
