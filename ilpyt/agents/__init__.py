"""Agents: networks and optimizers, a way to act (`step`) and a way to learn (`update`)."""

from ilpyt.agents.a2c_agent import A2CAgent
from ilpyt.agents.base_agent import BaseAgent
from ilpyt.agents.dqn_agent import DQNAgent
from ilpyt.agents.gail_agent import GAILAgent
from ilpyt.agents.gcl_agent import GCLAgent
from ilpyt.agents.heuristic_agent import (
    CartPoleHeuristicAgent,
    HeuristicAgent,
    LunarLanderContinuousHeuristicAgent,
    LunarLanderHeuristicAgent,
    MountainCarContinuousHeuristicAgent,
    MountainCarHeuristicAgent,
)
from ilpyt.agents.imitation_agent import ImitationAgent
from ilpyt.agents.mixture_agent import MixtureAgent, PolicyMixture
from ilpyt.agents.ppo_agent import PPOAgent
from ilpyt.agents.rl_agent import ActorCriticAgent, RLAgent

__all__ = [
    "A2CAgent",
    "ActorCriticAgent",
    "BaseAgent",
    "CartPoleHeuristicAgent",
    "DQNAgent",
    "GAILAgent",
    "GCLAgent",
    "HeuristicAgent",
    "ImitationAgent",
    "LunarLanderContinuousHeuristicAgent",
    "LunarLanderHeuristicAgent",
    "MixtureAgent",
    "MountainCarContinuousHeuristicAgent",
    "MountainCarHeuristicAgent",
    "PPOAgent",
    "PolicyMixture",
    "RLAgent",
]
