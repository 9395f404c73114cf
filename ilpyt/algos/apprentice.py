"""Apprenticeship learning via inverse reinforcement learning (Abbeel & Ng 2004)."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ilpyt.agents.mixture_agent import PolicyMixture
from ilpyt.agents.rl_agent import CHUNK, RLAgent
from ilpyt.algos.base_algo import BaseAlgorithm
from ilpyt.algos.ppo import PPO
from ilpyt.nets.features import FeatureMap
from ilpyt.runners.experiences import Experiences
from ilpyt.runners.runner import play
from ilpyt.utils.checkpoint import check_like
from ilpyt.utils.errors import DataError
from ilpyt.utils.feature_matching import FeatureMatching
from ilpyt.utils.replay_memory import ReplayMemory
from ilpyt.utils.seed_utils import VALIDATION_SEED

Features = Callable[[Tensor, Tensor], Tensor]


@torch.no_grad()
def evaluate_features(features: Features, states: Tensor, actions: Tensor) -> Tensor:
    """phi(s, a), float32 [B, K].

    Raises:
        DataError: the function gives something else, or numbers that aren't finite.
    """
    parts = [features(*part) for part in zip(states.split(CHUNK), actions.split(CHUNK), strict=True)]
    if not all(isinstance(part, Tensor) and part.dim() == 2 for part in parts) or sum(map(len, parts)) != len(states):
        given = [list(part.shape) if isinstance(part, Tensor) else type(part).__name__ for part in parts]
        raise DataError(
            f"features must give a tensor [B, K] for B states and actions; for {min(CHUNK, len(states))} they gave "
            f"{given[0]}"
        )
    phi = torch.cat(parts).float()
    if not torch.isfinite(phi).all():
        row = int((~torch.isfinite(phi)).any(1).nonzero()[0])
        raise DataError(f"features gave nan or infinity for state {states[row].tolist()}: {phi[row].tolist()}")
    return phi


def feature_expectations(episodes: Experiences, features: Features, gamma: float) -> np.ndarray:
    """mu: mean over episodes of sum_t gamma^t phi(s_t, a_t) (Abbeel & Ng 2004, section 2), float64 [K]."""
    phi = evaluate_features(features, episodes.states, episodes.actions).double()
    steps = torch.cat([torch.arange(end - start) for start, end in episodes.bounds()]).to(phi.device)
    return ((gamma ** steps.double()) @ phi / len(episodes.bounds())).cpu().numpy()


class AppL(BaseAlgorithm):
    """Learns policies for one reward after another, each of which says what the expert does and those before don't.

    If the expert's reward is linear in the features, a mixture of policies with its feature expectations is as good as
    the expert (Abbeel & Ng 2004, section 3).

    Attributes:
        matching: the feature expectations and the margin, after `train`.
        mixture: an agent that plays the paper's mixture of the policies, after `train`. It isn't saved.
    """

    agent: RLAgent
    agent_class = RLAgent
    matching: FeatureMatching
    mixture: PolicyMixture | None = None

    make_agent = PPO.make_agent
    _tests_mixture = False

    def train(
        self,
        num_episodes: int = 20,
        epsilon: float = 1e-3,
        gamma: float | None = None,
        batch_size: int | None = None,
        num_train: int = 10,
        expert_demos: str | Path | Experiences | None = None,
        *,
        features: Features | dict[str, Any] | None = None,
        method: str = "max-margin",
        warm_start: bool = True,
        select: str = "best",
        until: float | None = None,
        evaluation_episodes: int = 50,
        resume: bool = False,
    ) -> None:
        """Iterate: find a reward, learn a policy for it, compare what it does with what the expert does.

        The environment's rewards are logged. They decide nothing but what `until` is asked to: when to stop.

        Args:
            num_episodes: iterations, that is policies, at most.
            epsilon: stop when the margin is at most this.
            gamma: discount of feature expectations and of the learner, which must be the same; None: the learner's.
            batch_size: env steps of each environment between updates of the learner; None: its own `rollout_steps`.
            num_train: rollouts, each with an update, that the learner gets for each reward.
            expert_demos: a demonstration file, 'minari:ID' or `Experiences`; there is no default.
            features: phi: a function from states [B, *obs] and actions [B] or [B, A] to float [B, K]; or keywords of
                `FeatureMap`, whose defaults are random Fourier features. One that has `observe` is shown the expert's
                states first.
            method: how rewards are found: 'max-margin' (section 3), or 'projection' (section 3.1), which is simpler and
                needs more policies.
            warm_start: go on from the last policy for a new reward; False: from the weights of the beginning.
            select: what `test` plays: 'best', the policy closest to the expert, or with `until` the one that reached
                it, which is what the agent is and what is saved in either case; or 'mixture', see `mixture`.
            until: stop when a policy's mean return in its evaluation reaches this.
            evaluation_episodes: greedy episodes that a policy's feature expectations are estimated from; always with
                the same seeds, which are not those of `test`.

            resume: go on from `checkpoint.pt` in `save_path`.

        Raises:
            FileNotFoundError: there is no such file.
            DataError: the demonstrations are broken, or of another environment.
            TrainingError: a loss, a gradient or a reward isn't finite; the last good weights are saved.
        """
        rollout_steps = self.agent.rollout_steps if batch_size is None else batch_size
        counts = {"num_episodes": num_episodes, "num_train": num_train, "batch_size": rollout_steps}
        for name, value in {**counts, "evaluation_episodes": evaluation_episodes}.items():
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        if epsilon < 0:
            raise ValueError(f"epsilon must be at least 0, got {epsilon}")
        if select not in ("best", "mixture"):
            raise ValueError(f"select must be 'best' or 'mixture', got {select!r}")
        if gamma not in (None, self.agent.gamma):
            raise ValueError(f"gamma is {gamma}, the agent's is {self.agent.gamma}; they must be the same")
        demos = self.load_demos(expert_demos)
        phi = features if callable(features) else FeatureMap(self.env, **(features or {})).to(self.agent.device)
        if hasattr(phi, "observe"):
            phi.observe(demos.states)

        self.matching = FeatureMatching(feature_expectations(demos, phi, self.agent.gamma), method)
        self._policies: list[dict[str, Any]] = []
        self.mixture, self._tests_mixture = None, False
        self._initial = None if warm_start else copy.deepcopy(self.agent.state_dict())
        config: dict[str, Any] = {**counts, "epsilon": epsilon, "method": method, "select": select, "until": until}
        config |= {"warm_start": warm_start, "features": phi, "expert_demos": expert_demos}
        has_reached = False
        parts = {"matching": self.matching, **({"features": phi} if hasattr(phi, "load_state_dict") else {})}
        with self.training(num_episodes, "iteration", resume=resume, parts=parts, **config) as loop:
            try:
                if not self._policies:
                    self._evaluate(phi, evaluation_episodes)  # line 1: some policy, and its feature expectations
                for _ in loop.steps(range(num_episodes)):
                    reward = self._reward(phi)
                    if self._initial is not None:
                        self.agent.load_state_dict(self._initial)
                    self.agent.relabel(reward)
                    for _ in range(num_train):
                        batch = self.runner.generate_batch(rollout_steps)
                        rewards = reward(batch.flatten()).view_as(batch.rewards)
                        metrics = self.agent.update(batch.replace(rewards=rewards))
                    score = self._evaluate(phi, evaluation_episodes)
                    has_reached = until is not None and score >= until
                    self.log(self.steps_done, {**metrics, **self._diagnose(score, rewards)})
                    self.save()
                    self.checkpoint()
                    if has_reached or self.matching.margin <= epsilon:
                        break
            finally:
                self._select(select, has_reached)
        why, iterations = "Reached the goal" if has_reached else "Ended", len(self._policies) - 1
        self.say(f"{why} after {iterations} iterations, margin {self.matching.margin:.4g}; kept no. {self._best}.")

    def test(self, num_episodes: int = 100, record_video: str | Path | None = None) -> list[float]:
        """Play test episodes; see `BaseAlgorithm.test`, and `select`."""
        agent = self.agent
        self.agent = self.mixture if self._tests_mixture else agent  # type: ignore[assignment]
        try:
            return super().test(num_episodes, record_video)
        finally:
            self.agent = agent

    @property
    def steps_done(self) -> int:
        """Env steps, which the weights are numbered with."""
        return self.runner.env_steps

    def state_dict(self) -> dict[str, Any]:
        """Everything that going on from here needs."""
        stacked = {
            name: {key: torch.stack([policy[name][key] for policy in self._policies]) for key in weights}
            for name, weights in (self._policies[0] if self._policies else {}).items()
        }
        return {**super().state_dict(), "policies": stacked, "initial": self._initial}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        super().load_state_dict(state)
        if state["initial"] is not None:
            check_like(state["initial"], self._initial, "the first policy", free=["optimizers", "replay_memory"])
        count = len(self.matching.policies)
        own = {n: {k: v.expand(count, *v.shape) for k, v in w.items()} for n, w in self.agent.get_weights().items()}
        if count:
            check_like(state["policies"], own, "the policies")
        self._policies = [
            {n: {k: v[number] for k, v in weights.items()} for n, weights in state["policies"].items()}
            for number in range(count)
        ]
        self._initial = state["initial"]

    def _reward(self, phi: Features) -> Callable[[Any], Tensor]:
        """Rewards [B] of B transitions, w . phi(s, a)."""
        weights = torch.as_tensor(self.matching.weights, dtype=torch.float32, device=self.agent.device)

        def reward(transitions: Any) -> Tensor:
            return evaluate_features(phi, transitions.states, transitions.actions) @ weights

        return reward

    def _evaluate(self, phi: Features, num_episodes: int) -> float:
        """Take in the policy as it is, by its feature expectations; its mean return."""
        episodes = play(self.agent, self.env, num_episodes, seed=VALIDATION_SEED, use_gpu=self.use_gpu)
        self.matching.add(feature_expectations(episodes.to_gpu() if self.use_gpu else episodes, phi, self.agent.gamma))
        self._policies.append(self.agent.get_weights())
        return float(np.mean(episodes.get_episode_rewards()))

    def _diagnose(self, score: float, rewards: Tensor) -> dict[str, float]:
        return {
            "evaluation/return": score,
            "margin": self.matching.margin,
            "distance": float(self.matching.distances()[-1]),
            "learned_reward/mean": rewards.mean().item(),
            "learned_reward/std": rewards.std(correction=0).item(),
            "updates": float(self.agent.num_updates()),
        }

    def _select(self, select: str, has_reached: bool) -> None:
        """Make the mixture, and give the agent the best policy."""
        if not self._policies:
            return
        probabilities = self.matching.mixture()
        mixed = np.flatnonzero(probabilities).tolist()
        self.mixture = PolicyMixture([self._policy(k) for k in mixed], probabilities[mixed].tolist())
        self.mixture.device = self.agent.device
        self._tests_mixture = select == "mixture"
        self._best = len(self._policies) - 1 if has_reached else int(np.argmin(self.matching.distances()))
        self.agent.set_weights(self._policies[self._best])

    def _policy(self, number: int) -> RLAgent:
        """A copy of the agent, as it was after an iteration, to act with."""
        memories = {id(value): value for value in vars(self.agent).values() if isinstance(value, ReplayMemory)}
        policy = copy.deepcopy(self.agent, memories)  # what it remembers is large, and of no use for acting
        policy.set_weights(self._policies[number])
        return policy


Apprentice = AppL  # its name in the 2021 release
