"""Deep Q-learning (Mnih et al. 2015)."""

from typing import Any

from ilpyt.agents.dqn_agent import DQNAgent
from ilpyt.algos.rl import RL
from ilpyt.envs.vec_env import VecEnv
from ilpyt.nets.choose import choose_net


class DQN(RL):
    """`RL` with a `DQNAgent`; `DQN(env=env)` makes one."""

    agent_class = DQNAgent

    @classmethod
    def make_agent(cls, env: VecEnv, net: dict[str, Any] | None = None, **agent_kwargs: Any) -> DQNAgent:
        """A network of action values that fits an environment; see `BaseAlgorithm.make_agent` and `DQNAgent`."""
        return DQNAgent(choose_net(env, **(net or {})), **agent_kwargs)
