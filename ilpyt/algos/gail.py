"""GAIL: generative adversarial imitation learning (Ho & Ermon 2016)."""

from pathlib import Path
from typing import Any

from ilpyt.agents.gail_agent import GAILAgent
from ilpyt.agents.imitation_agent import StateActions
from ilpyt.agents.rl_agent import ActorCriticAgent
from ilpyt.algos.base_algo import BaseAlgorithm
from ilpyt.algos.bc import clone
from ilpyt.algos.monitor import Monitor
from ilpyt.algos.ppo import PPO
from ilpyt.envs.vec_env import VecEnv
from ilpyt.nets.choose import JUDGING, choose_net
from ilpyt.runners.experiences import Experiences
from ilpyt.utils.errors import DataError


class GAIL(BaseAlgorithm):
    """Trains a learner and a discriminator against each other; the environment's rewards are never learnt from."""

    agent: GAILAgent
    agent_class = GAILAgent

    @classmethod
    def make_agent(
        cls,
        env: VecEnv,
        net: dict[str, Any] | None = None,
        *,
        learner: dict[str, Any] | None = None,
        disc: dict[str, Any] | None = None,
        **agent_kwargs: Any,
    ) -> GAILAgent:
        """A `PPOAgent`, and a discriminator, that fit an environment; see `BaseAlgorithm.make_agent`.

        Args:
            env: the vectorized environment.
            net: keywords of `choose_net` for policy and critic.
            learner: keywords of `PPOAgent`.
            disc: keywords of `choose_net` for the discriminator; unless they say otherwise, it takes states and actions
                and normalises its input.
            agent_kwargs: keywords of `GAILAgent`.
        """
        inputs = {**JUDGING, **(disc or {})}
        return GAILAgent(
            PPO.make_agent(env, net, **(learner or {})), choose_net(env, output_shape=1, **inputs), **agent_kwargs
        )

    def train(
        self,
        num_episodes: int | None = None,
        rollout_steps: int | None = None,
        expert_demos: str | Path | Experiences | None = None,
        save_interval: int = 100_000,
        *,
        num_steps: int | None = None,
        until: float | None = None,
        warm_start_epochs: int = 0,
        resume: bool = False,
        **monitor_kwargs: Any,
    ) -> None:
        """Train until the first of these things happens.

        The environment's rewards are logged. They decide nothing but what `until` and `eval_interval` are asked to
        decide: when to stop, and which weights to keep.

        Args:
            num_episodes: so many episodes have been finished, over all environments.
            rollout_steps: env steps of each environment between updates; None: the learner's own.
            expert_demos: a demonstration file, 'minari:ID' or `Experiences`; there is no default.
            save_interval: env steps between saves of the weights.
            num_steps: so many env steps have been made, over all environments.
            until: the mean return of the last 100 training episodes, or with `eval_interval` that of an evaluation, has
                reached this.
            warm_start_epochs: passes of behavioral cloning over the demonstrations before the first update (the paper,
                section 7, suggests it).
            resume: go on from `checkpoint.pt` in `save_path`.
            monitor_kwargs: keywords of `Monitor`: `eval_interval`, `eval_episodes`, `log_interval`.

        Raises:
            FileNotFoundError: there is no such file.
            DataError: the demonstrations are broken, or of another environment.
            TrainingError: a loss, a gradient or a reward isn't finite; the last good weights are saved.
        """
        if warm_start_epochs < 0:
            raise ValueError(f"warm_start_epochs must be at least 0, got {warm_start_epochs}")
        rollout_steps = self.agent.gen.rollout_steps if rollout_steps is None else rollout_steps
        monitor = Monitor(
            self, num_episodes, num_steps=num_steps, until=until, save_interval=save_interval, **monitor_kwargs
        )
        experiences = self.load_demos(expert_demos)
        demos = transitions_for(self.agent, experiences)
        self.agent.demonstrate(demos)
        if len(demos.states) < self.agent.batch_size:
            self.say(f"{len(demos.states)} transitions of the expert are fewer than a minibatch; they are repeated.")
        if warm_start_epochs and not resume and not self.agent.num_updates():
            if not isinstance(self.agent.gen, ActorCriticAgent):
                raise TypeError(f"a {type(self.agent.gen).__name__} has no policy that could be cloned from the expert")
            clone(self.agent.gen.actor, experiences, warm_start_epochs)
        config = {"rollout_steps": rollout_steps, "expert_demos": expert_demos, "warm_start_epochs": warm_start_epochs}
        with monitor.training(resume, **config):
            while not monitor.is_over:
                batch = self.runner.generate_batch(rollout_steps)
                monitor.record(batch, self.agent.update(batch))

    @property
    def steps_done(self) -> int:
        """Env steps, which the weights are numbered with."""
        return self.runner.env_steps


def transitions_for(agent: GAILAgent, demos: Experiences) -> StateActions:
    """All transitions of the demonstrations, or those whose next state is known if the discriminator takes it."""
    if not agent.disc.takes_next_states:
        return StateActions(demos.states, demos.actions)
    rows = (~demos.dones[:-1]).nonzero().flatten()
    if not len(rows):
        raise DataError("these demonstrations have no two steps in a row, but the discriminator takes the next state")
    return StateActions(demos.states[rows], demos.actions[rows], demos.states[rows + 1])
