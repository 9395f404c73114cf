"""Agents that are several: `MixtureAgent` (Ross et al. 2011) and `PolicyMixture` (Abbeel & Ng 2004)."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ilpyt.agents.base_agent import BaseAgent
from ilpyt.utils.errors import DataError

Expert = BaseAgent | Callable[[Any], Any]
CHUNK = 4096  # states that an expert is asked about at once


def _as_is(actions: np.ndarray) -> np.ndarray:
    return actions


class MixtureAgent(BaseAgent):
    """Expert and learner taking turns: a coin for each environment and step, with probability beta for the expert.

    This is pi_i = beta_i pi* + (1 - beta_i) pi_i of Ross et al. 2011, alg. 3.1.

    Attributes:
        beta: probability of the expert's action, 0..1.
        queries: states that the expert has been asked about.
    """

    def initialize(
        self, expert: Expert, learner: BaseAgent, beta: float = 1.0, *, fit: Callable[[np.ndarray], np.ndarray] = _as_is
    ) -> None:
        """Take both.

        Args:
            expert: an agent, or any function from states [B, *obs] (a tensor) to actions [B] or [B, A].
            learner: acts as it does in training or testing, as its own mode says.
            beta: probability of the expert's action.
            fit: from the expert's actions to those that the environment takes; raises a DataError if they don't fit.
        """
        self.expert = expert
        self.learner = learner
        self.beta = beta
        self.fit = fit
        self.queries = 0
        self.agents = {"learner": learner}

    def step(self, state: Tensor) -> np.ndarray:
        """Actions int64 [N] or float32 [N, A] for states [N, *obs]."""
        is_expert = np.random.random(len(state)) < self.beta
        if is_expert.all():
            return self.label(state)
        actions = self.learner.step(state)
        if is_expert.any():
            actions[is_expert] = self.label(state[torch.from_numpy(is_expert).to(state.device)])
        return actions

    def label(self, states: Tensor) -> np.ndarray:
        """The expert's actions in states [B, *obs], int64 [B] or float32 [B, A]; greedy ones, if it's an agent.

        Raises:
            DataError: the expert fails, or doesn't give one finite action a state.
        """
        self.queries += len(states)
        return np.concatenate([self._ask(part) for part in states.split(CHUNK)])

    def _ask(self, states: Tensor) -> np.ndarray:
        try:
            with torch.inference_mode():
                if isinstance(self.expert, BaseAgent):
                    with self.expert.test_mode():
                        actions = self.expert.step(states.to(self.expert.device))
                else:
                    actions = self.expert(states.cpu())
            labels = actions.detach().cpu().numpy() if isinstance(actions, Tensor) else np.asarray(actions)
        except Exception as error:
            raise DataError(f"the expert fails on states of shape {list(states.shape)}: {error!r}") from error
        if labels.ndim == 0 or len(labels) != len(states) or labels.dtype.kind not in "biuf":
            raise DataError(
                f"the expert gives {labels.dtype} actions of shape {list(labels.shape)} for states of shape "
                f"{list(states.shape)}; it must give one action a state, numbers of shape [{len(states)}, ...]"
            )
        finite = np.isfinite(labels).reshape(len(labels), -1).all(1)
        if not finite.all():
            row = int(np.flatnonzero(~finite)[0])
            raise DataError(f"the expert gives the action {labels[row].tolist()} in state {states[row].tolist()}")
        return self.fit(labels.astype(np.float32 if labels.dtype.kind == "f" else np.int64))

    def update(self, batch: Any) -> dict[str, float]:
        """Update the learner."""
        return self.learner.update(batch)

    def state_dict(self) -> dict[str, Any]:
        """Everything that going on from here needs."""
        return {**super().state_dict(), "queries": self.queries}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        super().load_state_dict(state)
        self.queries = state["queries"]


class PolicyMixture(BaseAgent):
    """Several agents, of which each environment follows one: drawn at random when the environments are reset.

    The paper draws for each episode; here an environment that plays several follows the same agent in all of them.
    Its expected feature counts are those of the agents, weighted by their probabilities (Abbeel & Ng 2004, section 3).
    """

    def initialize(self, policies: Sequence[BaseAgent], probabilities: Sequence[float]) -> None:
        """Take the agents.

        Args:
            policies: agents that act in the same environment.
            probabilities: of each to be drawn; they sum to 1.
        """
        if len(policies) != len(probabilities) or min(probabilities) < 0 or abs(sum(probabilities) - 1) > 1e-6:
            raise ValueError(f"{len(policies)} policies need as many probabilities that sum to 1, got {probabilities}")
        self.probabilities = np.array(probabilities) / sum(probabilities)
        self.agents = {f"policy_{k}": policy for k, policy in enumerate(policies)}
        self._followed = np.zeros(0, dtype=np.int64)  # by each environment

    def reset(self) -> None:
        """Draw again, when it's next asked to act."""
        super().reset()
        self._followed = np.zeros(0, dtype=np.int64)

    def step(self, state: Tensor) -> np.ndarray:
        """Actions int64 [N] or float32 [N, A] for states [N, *obs]."""
        if len(self._followed) != len(state):
            self._followed = np.random.choice(len(self.agents), size=len(state), p=self.probabilities)
        policies = list(self.agents.values())
        parts = {
            k: policies[k].step(state[torch.from_numpy(self._followed == k)]) for k in set(self._followed.tolist())
        }
        first = next(iter(parts.values()))
        actions = np.empty((len(state), *first.shape[1:]), first.dtype)
        for k, part in parts.items():
            actions[self._followed == k] = part
        return actions

    def update(self, batch: Any) -> dict[str, float]:
        """Nothing to learn."""
        return {}
