"""`RL`: reinforcement learning, the loop that DQN, A2C and PPO share."""

from typing import Any

from ilpyt.agents.rl_agent import RLAgent
from ilpyt.algos.base_algo import BaseAlgorithm
from ilpyt.algos.monitor import Monitor
from ilpyt.envs.vec_env import VecEnv
from ilpyt.nets.base_net import BaseNetwork
from ilpyt.nets.choose import choose_net


class RL(BaseAlgorithm):
    """Trains an agent on the environment's rewards: gather a rollout, learn from it.

    `DQN`, `A2C` and `PPO` are this with an agent of their own where none is given.
    """

    agent: RLAgent
    agent_class = RLAgent

    def train(
        self,
        num_episodes: int | None = None,
        rollout_steps: int | None = None,
        *,
        num_steps: int | None = None,
        until: float | None = None,
        resume: bool = False,
        **monitor_kwargs: Any,
    ) -> None:
        """Train until the first of these things happens.

        Args:
            num_episodes: so many episodes have been finished, over all environments.
            rollout_steps: env steps of each environment between updates; None: the agent's own (`rollout_steps`).
            num_steps: so many env steps have been made, over all environments.
            until: the mean return of the last 100 training episodes, or with `eval_interval` that of an evaluation, has
                reached this.
            resume: go on from `checkpoint.pt` in `save_path`.
            monitor_kwargs: keywords of `Monitor`: `eval_interval`, `eval_episodes`, `log_interval`, `save_interval`.

        Raises:
            TrainingError: a loss, a gradient or a reward isn't finite; the last good weights are saved.
        """
        rollout_steps = self.agent.rollout_steps if rollout_steps is None else rollout_steps
        monitor = Monitor(self, num_episodes, num_steps=num_steps, until=until, **monitor_kwargs)
        with monitor.training(resume, rollout_steps=rollout_steps):
            while not monitor.is_over:
                batch = self.runner.generate_batch(rollout_steps)
                monitor.record(batch, self.agent.update(batch))

    @property
    def steps_done(self) -> int:
        """Env steps, which the weights are numbered with."""
        return self.runner.env_steps


def actor_critic_nets(env: VecEnv, net: dict[str, Any] | None) -> tuple[BaseNetwork, BaseNetwork]:
    """A policy and a critic, separate networks of one size; `net` are keywords of `choose_net`."""
    kwargs = net or {}
    critic = {name: value for name, value in kwargs.items() if name not in ("log_std", "noise_correlation")}
    actor = choose_net(env, **{"output_gain": 0.01, **kwargs})
    return actor, choose_net(env, output_shape=1, **{**critic, "output_gain": 1.0})
