"""Advantage actor-critic (Mnih et al. 2016), synchronous."""

from typing import Any

from ilpyt.agents.a2c_agent import A2CAgent
from ilpyt.algos.rl import RL, actor_critic_nets
from ilpyt.envs.vec_env import VecEnv


class A2C(RL):
    """`RL` with an `A2CAgent`; `A2C(env=env)` makes one."""

    agent_class = A2CAgent

    @classmethod
    def make_agent(cls, env: VecEnv, net: dict[str, Any] | None = None, **agent_kwargs: Any) -> A2CAgent:
        """A policy and a critic that fit an environment; see `BaseAlgorithm.make_agent` and `A2CAgent`."""
        return A2CAgent(*actor_critic_nets(env, net), **agent_kwargs)
