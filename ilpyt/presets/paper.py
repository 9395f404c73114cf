"""The paper's five environments: thresholds, experts, and the paper's results."""

from dataclasses import dataclass

from ilpyt.agents.heuristic_agent import (
    CartPoleHeuristicAgent,
    HeuristicAgent,
    LunarLanderContinuousHeuristicAgent,
    LunarLanderHeuristicAgent,
    MountainCarContinuousHeuristicAgent,
    MountainCarHeuristicAgent,
)


@dataclass(frozen=True)
class PaperEnv:
    """An environment of the paper.

    Attributes:
        threshold: mean return over 100 episodes at which it counts as solved (the paper, Table 1).
        expert: the scripted expert that its demonstrations come from.
        expert_return: its mean return on the 100 test episodes, as `benchmarks/table1.py` has measured it.
        random_return: that of actions drawn uniformly.
        paper: the paper's Table 1: mean and standard deviation of the return by algorithm, and of the 'Expert'.
    """

    threshold: float
    expert: type[HeuristicAgent]
    expert_return: float
    random_return: float
    paper: dict[str, tuple[float, float]]


PAPER_ENVS: dict[str, PaperEnv] = {
    "CartPole-v0": PaperEnv(
        threshold=200,
        expert=CartPoleHeuristicAgent,
        expert_return=200.0,
        random_return=21.86,
        paper={
            "Expert": (200.00, 0.00),
            "BC": (200.00, 0.00),
            "DAgger": (200.00, 0.00),
            "GAIL": (200.00, 0.00),
            "GCL": (200.00, 0.00),
            "AppL": (200.00, 0.00),
        },
    ),
    "MountainCar-v0": PaperEnv(
        threshold=-110,
        expert=MountainCarHeuristicAgent,
        expert_return=-107.78,
        random_return=-200.0,
        paper={
            "Expert": (-98.71, 7.83),
            "BC": (-100.800, 13.797),
            "DAgger": (-102.36, 15.38),
            "GAIL": (-104.31, 17.21),
            "AppL": (-108.60, 22.843),
        },
    ),
    "MountainCarContinuous-v0": PaperEnv(
        threshold=90,
        expert=MountainCarContinuousHeuristicAgent,
        expert_return=93.36,
        random_return=-33.25,
        paper={
            "Expert": (93.36, 0.05),
            "BC": (93.353, 0.113),
            "DAgger": (93.20, 0.17),
            "GAIL": (79.78, 6.23),
        },
    ),
    "LunarLander-v2": PaperEnv(
        threshold=200,
        expert=LunarLanderHeuristicAgent,
        expert_return=247.51,
        random_return=-198.42,
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
    ),
    "LunarLanderContinuous-v2": PaperEnv(
        threshold=200,
        expert=LunarLanderContinuousHeuristicAgent,
        expert_return=282.82,
        random_return=-211.3,
        paper={
            "Expert": (283.83, 17.70),
            "BC": (285.895, 14.584),
            "DAgger": (285.85, 14.61),
            "GAIL": (282.00, 31.73),
            "GCL": (255.414, 76.917),
        },
    ),
}
