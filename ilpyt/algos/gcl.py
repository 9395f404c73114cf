"""Guided cost learning (Finn et al. 2016)."""

import copy
from pathlib import Path
from typing import Any

from ilpyt.agents.gcl_agent import GCLAgent, trajectories
from ilpyt.algos.base_algo import BaseAlgorithm
from ilpyt.algos.bc import clone
from ilpyt.algos.monitor import Monitor
from ilpyt.algos.ppo import PPO
from ilpyt.envs.vec_env import VecEnv
from ilpyt.nets.choose import JUDGING, choose_net
from ilpyt.runners.experiences import Experiences


class GCL(BaseAlgorithm):
    """Learns a cost from demonstrations, and a policy by it; the environment's rewards are never learnt from."""

    agent: GCLAgent
    agent_class = GCLAgent

    @classmethod
    def make_agent(
        cls,
        env: VecEnv,
        net: dict[str, Any] | None = None,
        *,
        learner: dict[str, Any] | None = None,
        cost: dict[str, Any] | None = None,
        **agent_kwargs: Any,
    ) -> GCLAgent:
        """A `PPOAgent`, and a cost, that fit an environment; see `BaseAlgorithm.make_agent`.

        Args:
            env: the vectorized environment.
            net: keywords of `choose_net` for policy and critic.
            learner: keywords of `PPOAgent`.
            cost: keywords of `choose_net` for the cost; unless they say otherwise, it takes states and actions and
                normalises its input.
            agent_kwargs: keywords of `GCLAgent`.
        """
        inputs = {**JUDGING, **(cost or {})}
        return GCLAgent(
            PPO.make_agent(env, net, **(learner or {})), choose_net(env, output_shape=1, **inputs), **agent_kwargs
        )

    def train(
        self,
        num_episodes: int | None = None,
        num_reward_updates: int = 10,
        batch_size: int = 16,
        expert_demos: str | Path | Experiences | None = None,
        *,
        rollout_episodes: int | None = None,
        clone_epochs: int = 30,
        warm_start: bool = False,
        num_steps: int | None = None,
        until: float | None = None,
        resume: bool = False,
        **monitor_kwargs: Any,
    ) -> None:
        """Train until the first of these things happens.

        The environment's rewards are logged. They decide nothing but what `until` and `eval_interval` are asked to
        decide: when to stop, and which weights to keep.

        Args:
            num_episodes: so many episodes have been played.
            num_reward_updates: gradient updates of the cost in each iteration (alg. 2, K).
            batch_size: episodes of the expert, and as many sampled ones, in one of them.
            expert_demos: a demonstration file, 'minari:ID' or `Experiences`; there is no default.
            rollout_episodes: episodes that are played in each iteration; None: 16, or one in each environment if those
                are more. Environments play equally many, and step on until all are done.
            clone_epochs: passes of behavioral cloning over the demonstrations, to find out how likely they were.
            warm_start: begin with the clone's policy instead of a random one (alg. 1, line 1, leaves the choice), its
                standard deviations apart. Only before the first update.
            num_steps: so many env steps have been made.
            until: the mean return of the last 100 training episodes, or with `eval_interval` that of an evaluation, has
                reached this.
            resume: go on from `checkpoint.pt` in `save_path`.
            monitor_kwargs: keywords of `Monitor`: `eval_interval`, `eval_episodes`, `log_interval`, `save_interval`.

        Raises:
            FileNotFoundError: there is no such file.
            DataError: the demonstrations are broken, or of another environment.
            TrainingError: a loss, a gradient or a reward isn't finite; the last good weights are saved.
        """
        rollout_episodes = max(16, self.env.num_envs) if rollout_episodes is None else rollout_episodes
        counts = {
            "num_reward_updates": num_reward_updates,
            "batch_size": batch_size,
            "rollout_episodes": rollout_episodes,
            "clone_epochs": clone_epochs,
        }
        for name, value in counts.items():
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        monitor = Monitor(self, num_episodes, num_steps=num_steps, until=until, **monitor_kwargs)
        demos = self.load_demos(expert_demos)
        if not resume:  # the checkpoint has them
            self._demonstrate(demos, clone_epochs, warm_start)
        with monitor.training(resume, **counts, expert_demos=expert_demos, warm_start=warm_start):
            while not monitor.is_over:
                batch = self.runner.generate_trajectories(rollout_episodes)
                monitor.record(batch, self.agent.update(batch, num_reward_updates, batch_size))

    def _demonstrate(self, demos: Experiences, clone_epochs: int, warm_start: bool) -> None:
        """Show the agent the demonstrations, and a clone of the expert that says how likely they were."""
        policy = self.agent.actor.actor
        proposal = copy.deepcopy(policy)
        clone(proposal, demos, clone_epochs, fit_std=True)
        if warm_start and not self.agent.num_updates():
            own = {name: tensor for name, tensor in policy.state_dict().items() if name == "log_std"}
            policy.load_state_dict({**proposal.state_dict(), **own})
        self.agent.demonstrate(trajectories(demos.states, demos.actions, demos.dones), proposal)

    @property
    def steps_done(self) -> int:
        """Env steps, which the weights are numbered with."""
        return self.runner.env_steps
