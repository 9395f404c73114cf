"""Agents: networks and optimizers, a way to act (`step`) and a way to learn (`update`)."""

from ilpyt.agents.base_agent import BaseAgent
from ilpyt.agents.heuristic_agent import (
    CartPoleHeuristicAgent,
    HeuristicAgent,
    LunarLanderContinuousHeuristicAgent,
    LunarLanderHeuristicAgent,
    MountainCarContinuousHeuristicAgent,
    MountainCarHeuristicAgent,
)
from ilpyt.agents.imitation_agent import ImitationAgent

__all__ = [
    "BaseAgent",
    "CartPoleHeuristicAgent",
    "HeuristicAgent",
    "ImitationAgent",
    "LunarLanderContinuousHeuristicAgent",
    "LunarLanderHeuristicAgent",
    "MountainCarContinuousHeuristicAgent",
    "MountainCarHeuristicAgent",
]
