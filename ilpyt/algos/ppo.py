"""Proximal policy optimization (Schulman et al. 2017)."""

from typing import Any

from ilpyt.agents.ppo_agent import PPOAgent
from ilpyt.algos.rl import RL, actor_critic_nets
from ilpyt.envs.vec_env import VecEnv


class PPO(RL):
    """`RL` with a `PPOAgent`; `PPO(env=env)` makes one."""

    agent_class = PPOAgent

    @classmethod
    def make_agent(cls, env: VecEnv, net: dict[str, Any] | None = None, **agent_kwargs: Any) -> PPOAgent:
        """A policy and a critic that fit an environment; see `BaseAlgorithm.make_agent` and `PPOAgent`."""
        return PPOAgent(*actor_critic_nets(env, net), **agent_kwargs)
