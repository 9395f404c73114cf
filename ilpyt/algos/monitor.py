"""What train loops over env steps share: counting, logging, evaluating, and knowing when to stop."""

import math
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ilpyt.agents.base_agent import BaseAgent
from ilpyt.runners.batch import Batch
from ilpyt.runners.runner import evaluate
from ilpyt.utils.checkpoint import check_all_like, check_like
from ilpyt.utils.seed_utils import VALIDATION_SEED

if TYPE_CHECKING:
    from ilpyt.algos.base_algo import BaseAlgorithm

RECENT = 100  # episodes that the training return is averaged over


class BestWeights:
    """Remembers an agent's weights when they were best."""

    def __init__(self, agent: BaseAgent) -> None:
        self._agent = agent
        self._weights: dict[str, Any] | None = None
        self.score = -math.inf
        self.step = 0

    def offer(self, score: float, step: int) -> bool:
        """Take the weights as they are now if their score is higher than all before; whether it is."""
        is_better = score > self.score
        if is_better:
            self.score, self.step = score, step
            self._weights = self._agent.get_weights()
        return is_better

    def restore(self) -> None:
        """Give the agent the best weights, if any were offered."""
        if self._weights is not None:
            self._agent.set_weights(self._weights)

    def state_dict(self) -> dict[str, Any]:
        """The best weights, their score and step."""
        return {"weights": self._weights, "score": self.score, "step": self.step}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        if state["weights"] is not None:
            check_like(state["weights"], self._agent.get_weights(), "the best weights")
        self._weights, self.score, self.step = state["weights"], state["score"], state["step"]


class Monitor:
    """Follows a train loop over env steps.

        monitor = Monitor(algorithm, num_steps=100_000, until=200)
        with monitor.training():
            while not monitor.is_over:
                batch = algorithm.runner.generate_batch(rollout_steps)
                monitor.record(batch, algorithm.agent.update(batch))

    It logs the means of the metrics recorded since it last logged, with `episode/return` and `episode/length` (means of
    the last 100 training episodes, from the environment's own rewards), `episodes` and `updates` (gradient updates) so
    far, and `evaluation/return` where there was one. If it evaluates, it does so at the end too, and leaves the agent
    with the weights whose evaluation was best.
    """

    def __init__(
        self,
        algo: "BaseAlgorithm",
        num_episodes: int | None = None,
        *,
        num_steps: int | None = None,
        until: float | None = None,
        eval_interval: int | None = None,
        eval_episodes: int = 20,
        log_interval: int = 1000,
        save_interval: int = 100_000,
    ) -> None:
        """Say when training is over: when the first of these things happens.

        Args:
            algo: the algorithm that trains.
            num_episodes: episodes have been finished, over all environments.
            num_steps: env steps have been made, over all environments.
            until: the mean return of the last 100 training episodes, or with `eval_interval` that of an evaluation, has
                reached this.
            eval_interval: env steps between evaluations of the greedy policy on environments of their own; None: no
                evaluations.
            eval_episodes: episodes of an evaluation; always the same ones, and not those of `test`.
            log_interval: env steps between rows of the log.
            save_interval: env steps between saves of the weights.
        """
        positive = {
            "num_episodes": num_episodes,
            "num_steps": num_steps,
            "eval_interval": eval_interval,
            "eval_episodes": eval_episodes,
            "log_interval": log_interval,
            "save_interval": save_interval,
        }
        for name, value in positive.items():
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        if num_episodes is None and num_steps is None:
            raise TypeError("train needs num_episodes or num_steps (--num-steps): when to stop at the latest")
        self.algo = algo
        self.runner = algo.runner
        self.until = until
        self.eval_episodes = eval_episodes
        self.config = {**positive, "until": until}
        self.best = BestWeights(algo.agent)
        self.has_reached = False
        self._evaluated_at = self.runner.env_steps
        self._counts_episodes = num_steps is None
        self._total = num_steps or num_episodes or 0
        self._num_episodes = math.inf if num_episodes is None else num_episodes
        self._num_steps = math.inf if num_steps is None else num_steps
        self._began = {"episodes": self.runner.episodes, "env_steps": self.runner.env_steps}
        self._shown = 0  # episodes or env steps that the progress bar knows of
        self._recent: deque[dict[str, Any]] = deque(maxlen=RECENT)
        self._metrics: dict[str, list[float]] = {}
        self._intervals = {"evaluate": eval_interval, "log": log_interval, "save": save_interval}
        self._due = {name: self.runner.env_steps + (n or math.inf) for name, n in self._intervals.items()}

    @contextmanager
    def training(self, resume: bool = False, **config: Any) -> Iterator[None]:
        """Around the train loop.

        Args:
            resume: go on from the checkpoint of a former training: what it had made counts too.
            config: what goes into `config.json`.
        """
        unit = "episode" if self._counts_episodes else "step"
        parts = {"monitor": self}
        with self.algo.training(self._total, unit, resume=resume, parts=parts, **self.config, **config) as self._loop:
            self._show_progress()
            try:
                yield
                if self.config["eval_interval"] is not None and self._evaluated_at < self.runner.env_steps:
                    self._evaluate()
                self.algo.checkpoint()
            finally:
                self._log()
                self.best.restore()
        steps, episodes = f"{self.runner.env_steps:,} env steps", f"{self.runner.episodes:,} episodes"
        self.algo.say(f"{'Reached the goal' if self.has_reached else 'Ended'} after {steps} and {episodes}.")
        if self.best.step:
            self.algo.say(f"Kept the weights of env step {self.best.step:,}, evaluated at {self.best.score:.2f}.")

    @property
    def is_over(self) -> bool:
        """Whether it is time to stop.

        Raises:
            KeyboardInterrupt: Ctrl-C or SIGTERM has come; a checkpoint is written.
        """
        self._loop.breathe()
        return (
            self.has_reached
            or self.runner.episodes - self._began["episodes"] >= self._num_episodes
            or self.runner.env_steps - self._began["env_steps"] >= self._num_steps
        )

    def record(self, batch: Batch, metrics: Mapping[str, float]) -> None:
        """Take in a rollout and the metrics of the update on it."""
        self._show_progress()
        self._recent.extend(batch.infos)
        for name, value in metrics.items():
            self._metrics.setdefault(name, []).append(value)
        if self._is_due("evaluate"):
            self._evaluate()
        elif self.until is not None and self._intervals["evaluate"] is None and len(self._recent) == RECENT:
            self.has_reached = self._mean("return") >= self.until
        if self._is_due("log"):
            self._log()
        if self._is_due("save"):
            self.algo.save()
            self.algo.checkpoint()

    def state_dict(self) -> dict[str, Any]:
        """How far training is, and what it has seen."""
        return {
            "began": self._began,
            "best": self.best.state_dict(),
            "reached": self.until if self.has_reached else None,
            "evaluated_at": self._evaluated_at,
            "recent": list(self._recent),
            "metrics": {name: torch.tensor(values, dtype=torch.float64) for name, values in self._metrics.items()},
            "due": {name: float(step) for name, step in self._due.items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave; what ends training is what was asked for this time."""
        check_all_like(state["recent"], {"env": 0, "return": 0.0, "length": 0}, "the latest episodes")
        check_like(state["due"], dict.fromkeys(self._due, 0.0), "what is due")
        self._began = state["began"]
        self.best.load_state_dict(state["best"])
        self.has_reached = self.until is not None and state["reached"] == self.until
        self._evaluated_at = state["evaluated_at"]
        self._recent.extend(state["recent"])
        self._metrics = {name: values.flatten().tolist() for name, values in state["metrics"].items()}
        for name, interval in self._intervals.items():
            if interval is not None:
                self._due[name] = min(self.runner.env_steps + interval, state["due"][name])

    def _show_progress(self) -> None:
        made = self.runner.episodes if self._counts_episodes else self.runner.env_steps
        made -= self._began["episodes" if self._counts_episodes else "env_steps"]
        self._loop.advance(made - self._shown)
        self._shown = made

    def _is_due(self, what: str) -> bool:
        """Whether an interval has passed since this was last done."""
        if self.runner.env_steps < self._due[what]:
            return False
        self._due[what] = self.runner.env_steps + (self._intervals[what] or math.inf)
        return True

    def _evaluate(self) -> None:
        self._evaluated_at = self.runner.env_steps
        returns = evaluate(
            self.algo.agent, self.algo.env, self.eval_episodes, seed=VALIDATION_SEED, use_gpu=self.algo.use_gpu
        )
        score = float(np.mean(returns))
        self._metrics["evaluation/return"] = [score]
        self.best.offer(score, self.runner.env_steps)
        self.has_reached = self.until is not None and score >= self.until

    def _log(self) -> None:
        """Log the means of what was recorded since the last time, if anything was."""
        if not self._metrics:
            return
        means = {name: _mean_of_numbers(values) for name, values in self._metrics.items()}
        self._metrics = {}
        episodes = {
            "episode/return": self._mean("return"),
            "episode/length": self._mean("length"),
            "episodes": float(self.runner.episodes),
            "updates": float(self.algo.agent.num_updates()),
        }
        self.algo.log(self.runner.env_steps, {**episodes, **means})

    def _mean(self, what: str) -> float:
        return _mean_of_numbers([info[what] for info in self._recent])


def _mean_of_numbers(values: list[float]) -> float:
    """The mean of those that aren't nan; nan if there are none."""
    numbers = [value for value in values if not math.isnan(value)]
    return sum(numbers) / len(numbers) if numbers else math.nan
