"""DAgger: dataset aggregation (Ross et al. 2011, "A reduction of imitation learning to no-regret online learning")."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ilpyt.agents.imitation_agent import ImitationAgent, StateActions
from ilpyt.agents.mixture_agent import Expert, MixtureAgent
from ilpyt.algos.base_algo import BaseAlgorithm
from ilpyt.algos.bc import BC
from ilpyt.algos.monitor import BestWeights
from ilpyt.runners.experiences import Experiences
from ilpyt.runners.runner import play
from ilpyt.utils.errors import DataError
from ilpyt.utils.schedules import Linear, Schedule, as_schedule
from ilpyt.utils.seed_utils import VALIDATION_SEED

EXPERT_FIRST = Linear(1, 0, 1)  # the expert acts in the first iteration, the learner in all others


class DAgger(BaseAlgorithm):
    """Learns from an expert that says, in the states that the learner gets itself into, what it would do there."""

    agent: ImitationAgent
    agent_class = ImitationAgent
    make_agent = BC.make_agent

    def initialize(self, *args: Any, max_mem: int = 1_000_000, **kwargs: Any) -> None:
        """Take environment and agent; for the other arguments see `BaseAlgorithm.initialize`.

        Args:
            max_mem: states, with the expert's actions, that are learnt from at most; the oldest make room.
        """
        if max_mem < 1:
            raise ValueError(f"max_mem must be at least 1, got {max_mem}")
        super().initialize(*args, **kwargs)
        self.max_mem = max_mem
        self.aggregate = Aggregate(1, self.agent.device)

    def train(
        self,
        num_episodes: int = 20,
        batch_size: int = 64,
        num_epochs: int = 5,
        T_steps: int = 50,  # noqa: N803 (the 2021 release's name)
        expert: Expert | None = None,
        *,
        beta: float | Schedule = EXPERT_FIRST,
        expert_demos: str | Path | Experiences | None = None,
        until: float | None = None,
        validation_episodes: int = 20,
        resume: bool = False,
    ) -> None:
        """Iterate: act, ask the expert, learn from all answers so far, of former calls too (alg. 3.1).

        After each iteration the learner plays episodes of its own, greedily; the weights that are kept are those of the
        iteration in which it agreed with the expert best there (least loss), as the paper selects them (theorem 3.1).
        Rewards play no part in this; the episodes' returns are logged.

        Args:
            num_episodes: iterations (the paper's N).
            batch_size: states of one gradient update.
            num_epochs: passes over all states so far, in each iteration.
            T_steps: env steps of each environment in an iteration; episodes go on from one iteration to the next.
            expert: an agent, or any function from states [B, *obs] (a tensor) to actions [B] or [B, A]. It is asked
                about many states at once, so its answer may depend on the state only.
            beta: probability, by iteration from 0, that the expert acts instead of the learner, or a schedule of it.
                `EXPERT_FIRST`: in the first iteration only, as the paper often does (section 3);
                `Linear(1, 0, k)`: less and less; `Exponential(p)`: p to the power of the iteration.
            expert_demos: demonstrations to begin with; a file, 'minari:ID' or `Experiences`.
            until: stop when the mean return of the validation episodes reaches this, and keep those weights.
            validation_episodes: episodes that the learner plays after each iteration, always with the same seeds, which
                are not those of `test`. The expert is asked about all their states, often more than are learnt from;
                `expert/queries` in the log counts both.
            resume: go on from `checkpoint.pt` in `save_path`.

        Raises:
            DataError: the expert fails, or its actions don't fit the environment.
            TrainingError: the loss is no longer finite; the best weights so far are saved.
        """
        counts = {"num_episodes": num_episodes, "batch_size": batch_size, "num_epochs": num_epochs, "T_steps": T_steps}
        for name, value in {**counts, "validation_episodes": validation_episodes}.items():
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        if expert is None:
            raise TypeError("train needs an expert (--expert): an agent, or a function from states to actions")
        schedule = as_schedule(beta)
        demos = None if expert_demos is None else self.load_demos(expert_demos)
        mixture = MixtureAgent(expert, self.agent, fit=self._fit)
        mixture.device = self.agent.device
        most = num_episodes * T_steps * self.env.num_envs + (0 if demos is None else len(demos))
        self.aggregate = Aggregate(
            min(self.max_mem, len(self.aggregate) + most), self.agent.device, former=self.aggregate
        )
        if demos is not None and not resume:
            self.agent.observe(demos.states)
            self.aggregate.add(demos.states, demos.actions)

        best, has_reached = BestWeights(self.agent), False
        config: dict[str, Any] = {**counts, "expert": type(expert).__name__, "beta": beta, "until": until}
        config |= {"expert_demos": expert_demos}
        parts = {"aggregate": self.aggregate, "best": best, "mixture": mixture}
        with self.training(num_episodes, "iteration", resume=resume, parts=parts, **config) as loop:
            iteration = loop.done - 1
            try:
                self.runner.agent = mixture
                for iteration in loop.steps(range(num_episodes)):
                    mixture.beta = schedule(iteration)
                    if not 0 <= mixture.beta <= 1:
                        raise ValueError(f"beta must be in 0..1, it is {mixture.beta} in iteration {iteration}")
                    with self.agent.test_mode():  # the learner acts as it will be tested
                        states = self.runner.generate_batch(T_steps).states.flatten(0, 1)
                    self.agent.observe(states)
                    self.aggregate.add(states, torch.from_numpy(mixture.label(states)).to(states.device))
                    for _ in range(num_epochs):
                        metrics = self.agent.train_epoch(self.aggregate.states, self.aggregate.actions, batch_size)
                    metrics |= self._validate(mixture, validation_episodes)
                    metrics |= {"beta": mixture.beta, "states": float(len(self.aggregate))}
                    metrics |= {"expert/queries": float(mixture.queries), "updates": float(self.agent.updates)}
                    self.log(self.steps_done, metrics)
                    best.offer(-metrics["validation_loss"], iteration + 1)
                    self.save()
                    self.checkpoint()
                    has_reached = until is not None and metrics["evaluation/return"] >= until
                    if has_reached:
                        break
            finally:
                if not has_reached:
                    best.restore()
                self.runner.agent = self.agent
        kept = iteration + 1 if has_reached else best.step
        self.say(f"{'Reached the goal' if has_reached else 'Ended'} after {iteration + 1} iterations; kept no. {kept}.")

    @property
    def steps_done(self) -> int:
        """Env steps, which the weights are numbered with."""
        return self.runner.env_steps

    def _fit(self, labels: np.ndarray) -> np.ndarray:
        """The expert's actions [B, ...] as the environment takes them."""
        env = self.env
        if labels.shape[1:] != env.action_shape or (env.action_bounds is None and labels.dtype.kind != "i"):
            raise DataError(
                f"the expert gives {labels.dtype} actions of shape {list(labels.shape[1:])}; "
                f"{env.description['env_id']} takes {list(env.action_shape)} ({env.action_space})"
            )
        labels = env.clip_actions(labels)
        row = env.find_invalid_action(labels)
        if row is not None:
            raise DataError(
                f"the expert gives the action {labels[row].tolist()}, out of range for {env.description['env_id']} "
                f"({env.action_space})"
            )
        return labels

    def _validate(self, mixture: MixtureAgent, num_episodes: int) -> dict[str, float]:
        """How far the learner is from the expert in the states that it gets itself into, and its return there."""
        own = play(self.agent, self.env, num_episodes, seed=VALIDATION_SEED, use_gpu=self.use_gpu)
        labels = torch.from_numpy(mixture.label(own.states)).to(self.agent.device)
        agreement = self.agent.validate(StateActions(own.states.to(self.agent.device), labels))
        return {**agreement, "evaluation/return": float(np.mean(own.get_episode_rewards()))}


class Aggregate:
    """The states so far, and the expert's actions in them, in tensors that are allocated once."""

    def __init__(self, capacity: int, device: torch.device | str = "cpu", former: "Aggregate | None" = None) -> None:
        """Hold what `former` held; the first `add` allocates memory for `capacity` states on the device."""
        self.capacity = capacity
        self.device = device
        self.added = 0
        self._states = self._actions = torch.empty(0)
        if former is not None and len(former):
            self.add(former.states, former.actions)

    def __len__(self) -> int:
        """Number of states held."""
        return min(self.added, self.capacity)

    def state_dict(self) -> dict[str, Any]:
        """What it holds."""
        return {"states": self.states, "actions": self.actions, "added": self.added}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave; the oldest first, if it no longer holds them all."""
        self.added = 0
        oldest = state["added"] % max(len(state["states"]), 1)
        if len(state["states"]):
            self.add(state["states"].roll(-oldest, 0), state["actions"].roll(-oldest, 0))

    @property
    def states(self) -> Tensor:
        """[M, *obs]."""
        return self._states[: len(self)]

    @property
    def actions(self) -> Tensor:
        """[M] or [M, A]."""
        return self._actions[: len(self)]

    def add(self, states: Tensor, actions: Tensor) -> None:
        """Append; over the capacity, the oldest are overwritten."""
        if not self.added:
            self._states = states.new_empty((self.capacity, *states.shape[1:]), device=self.device)
            self._actions = actions.new_empty((self.capacity, *actions.shape[1:]), device=self.device)
        for held, given in ((self._states, states), (self._actions, actions)):
            if held.dtype != given.dtype or held.shape[1:] != given.shape[1:] or len(given) != len(states):
                its, own = f"{given.dtype} {list(given.shape[1:])}", f"{held.dtype} {list(held.shape[1:])}"
                raise DataError(f"the aggregate holds {own}, got {its}")
        states, actions = states[-self.capacity :], actions[-self.capacity :]
        rows = (self.added + torch.arange(len(states), device=self.device)) % self.capacity
        self._states[rows] = states.to(self.device)
        self._actions[rows] = actions.to(self.device)
        self.added += len(states)
