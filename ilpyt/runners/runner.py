"""`Runner`: an agent acting in vectorized environments, and what comes of it.

There is one way through: the states that the environments are in go to `agent.step`, its actions to `env.step`. Nothing
is kept back but those states and the returns of the episodes that are under way.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ilpyt.runners.batch import Batch
from ilpyt.runners.experiences import Experiences
from ilpyt.utils.demos import FIELDS
from ilpyt.utils.seed_utils import TEST_SEED, preserved_random_state

if TYPE_CHECKING:
    from ilpyt.agents import BaseAgent
    from ilpyt.envs import VecEnv

__all__ = ["Batch", "Experiences", "Runner", "evaluate", "play"]


class Runner:
    """Steps an agent in N environments.

    Attributes:
        env_steps: made so far, over all environments.
        episodes: finished so far, over all environments; where a number was asked for, so many.
    """

    def __init__(self, env: "VecEnv", agent: "BaseAgent", use_gpu: bool = False) -> None:
        """Nothing is stepped yet; the first `generate_...` resets the environments.

        Args:
            env: the vectorized environment; a runner takes it for itself.
            agent: whose `step` chooses the actions.
            use_gpu: hand states to the agent, and batches back, on the GPU.
        """
        self.env = env
        self.agent = agent
        self.device = torch.device("cuda" if use_gpu else "cpu")
        self.env_steps = 0
        self.episodes = 0
        self._states: np.ndarray | None = None
        self._returns = np.zeros(env.num_envs)
        self._lengths = np.zeros(env.num_envs, dtype=np.int64)

    def reset(self, seed: int | Sequence[Sequence[int]] | None = None) -> None:
        """Start new episodes in all environments; for `seed` see `VecEnv.reset`."""
        self._states = self.env.reset(seed)
        self._returns[:] = 0
        self._lengths[:] = 0
        self.agent.reset()

    def state_dict(self) -> dict[str, int]:
        """What was counted; environments can't be saved."""
        return {"env_steps": self.env_steps, "episodes": self.episodes}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on counting from what `state_dict` gave."""
        self.env_steps, self.episodes = state["env_steps"], state["episodes"]

    def generate_batch(self, rollout_steps: int) -> Batch:
        """Go on for some steps from where the environments are.

        Args:
            rollout_steps: env steps of each environment, T.

        Returns:
            a batch [T, N, ...].
        """
        if rollout_steps < 1:
            raise ValueError(f"rollout_steps must be at least 1, got {rollout_steps}")
        if self._states is None:
            self.reset()
        fields = self._allocate(rollout_steps)
        states, actions, rewards, dones, terminated, next_states = (fields[name].numpy() for name in Batch.FIELDS)
        episodes: list[dict[str, Any]] = []
        for t in range(rollout_steps):
            states[t] = self._states
            actions[t], rewards[t], dones[t], infos, finished = self._step()
            terminated[t] = infos["terminated"]
            next_states[t] = infos["final_states"]
            episodes += finished
        rollout = Batch(**fields, infos=episodes)
        return rollout if self.device.type == "cpu" else rollout.to(self.device)

    def generate_episodes(self, num_episodes: int, seed: int | Sequence[Sequence[int]] | None = None) -> Experiences:
        """Play whole episodes, each from a reset.

        How many an environment plays is fixed beforehand, and all that are counted are finished: whoever plays until
        enough episodes are over counts short ones too often. Actions are recorded as the environment took them,
        clipped to its bounds.

        Args:
            num_episodes: number of episodes; number k is the k // N-th of environment k % N.
            seed: see `VecEnv.reset`.
        """
        steps: list[list[tuple]] = [[] for _ in range(num_episodes)]
        for k, i, (states, actions, rewards, dones, infos) in self.play_steps(num_episodes, seed):
            steps[k].append((states[i], actions[i], rewards[i], dones[i], infos["truncated"][i]))
        columns = zip(*(step for episode in steps for step in episode), strict=True)
        fields = dict(zip(FIELDS, map(np.stack, columns), strict=True))
        fields["actions"] = self.env.clip_actions(fields["actions"])
        return Experiences(**fields, metadata=dict(self.env.description))

    def generate_trajectories(self, num_episodes: int) -> Batch:
        """Play whole episodes as `generate_episodes` does, for an agent to learn from.

        Args:
            num_episodes: number of episodes.

        Returns:
            a batch [M, 1, ...] of the episodes end to end, as if one environment had played them.
        """
        steps: list[list[tuple]] = [[] for _ in range(num_episodes)]
        episodes: list[dict[str, Any]] = []
        for k, i, (states, actions, rewards, dones, infos) in self.play_steps(num_episodes, None):
            row = (states[i], actions[i], rewards[i], dones[i], infos["terminated"][i], infos["final_states"][i])
            steps[k].append(row)
        columns = zip(*(step for episode in steps for step in episode), strict=True)
        fields = zip(Batch.FIELDS, columns, strict=True)
        tensors = {name: torch.from_numpy(np.stack(column))[:, None] for name, column in fields}
        for episode in steps:
            total = float(sum(reward for _, _, reward, *_ in episode))
            episodes.append({"env": 0, "return": total, "length": len(episode)})
        batch = Batch(**tensors, infos=episodes)
        return batch if self.device.type == "cpu" else batch.to(self.device)

    def evaluate(self, num_episodes: int, seed: int | Sequence[Sequence[int]] | None = None) -> list[float]:
        """Play as `generate_episodes` does, and keep the returns (undiscounted sums of rewards) only."""
        returns = [0.0] * num_episodes
        for k, i, (_, _, rewards, _, _) in self.play_steps(num_episodes, seed):
            returns[k] += float(rewards[i])
        return returns

    def play_steps(
        self, num_episodes: int, seed: int | Sequence[Sequence[int]] | None = None
    ) -> Iterator[tuple[int, int, tuple]]:
        """Play as `generate_episodes` does, step by step.

        Yields:
            for every step that counts its episode, its environment i, and of all N environments what the step was:
            (states, actions, rewards, dones, infos), each [N, ...].
        """
        if num_episodes < 1:
            raise ValueError(f"num_episodes must be at least 1, got {num_episodes}")
        self.reset(seed)
        n, finished = self.env.num_envs, self.episodes
        playing = [i if i < num_episodes else None for i in range(n)]  # the episode that an environment is in
        while any(k is not None for k in playing):
            states = self._states
            actions, rewards, dones, infos, _ = self._step()
            for i, k in enumerate(playing):
                if k is None:
                    continue
                yield k, i, (states, actions, rewards, dones, infos)
                if dones[i]:
                    playing[i] = k + n if k + n < num_episodes else None
        self._states = None  # some environments are amid episodes that nobody counts: start afresh
        self.episodes = finished + num_episodes

    @torch.inference_mode()
    def _step(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, dict[str, Any], list[dict[str, Any]]]:
        """One step of all environments; actions, rewards, dones, infos, and the episodes that ended."""
        states = torch.from_numpy(self._states)
        actions = self.agent.step(states if self.device.type == "cpu" else states.to(self.device))
        self._states, rewards, dones, infos = self.env.step(actions)
        self._returns += rewards
        self._lengths += 1
        self.env_steps += self.env.num_envs
        finished: list[dict[str, Any]] = []
        if np.count_nonzero(dones):
            for i in np.flatnonzero(dones).tolist():
                finished.append({"env": i, "return": float(self._returns[i]), "length": int(self._lengths[i])})
            self.episodes += len(finished)
            self._returns[dones] = 0
            self._lengths[dones] = 0
        return actions, rewards, dones, infos, finished

    def _allocate(self, steps: int) -> dict[str, Tensor]:
        """The tensors of a batch of `steps` steps."""
        rows, sample = (steps, self.env.num_envs), torch.from_numpy(self._states)
        action_type = torch.int64 if self.env.type == "discrete" else torch.float32
        return {
            "states": sample.new_empty((steps, *sample.shape)),
            "actions": torch.empty((*rows, *self.env.action_shape), dtype=action_type),
            "rewards": torch.empty(rows, dtype=torch.float32),
            "dones": torch.empty(rows, dtype=torch.bool),
            "terminated": torch.empty(rows, dtype=torch.bool),
            "next_states": sample.new_empty((steps, *sample.shape)),
        }


def evaluate(
    agent: "BaseAgent", env: "VecEnv", num_episodes: int = 100, *, seed: int = TEST_SEED, use_gpu: bool = False
) -> list[float]:
    """Returns of an agent acting greedily, on fresh environments like those of `env`, which itself isn't touched.

    Episode k is played with environment seed `seed + k`, however many environments there are. The agent's mode and all
    random numbers are afterwards what they were.

    Args:
        agent: the agent; a scripted expert as well.
        env: whose `env_fns` make the environments.
        num_episodes: number of episodes.
        seed: the first episode's; the default are the test episodes, on which nothing may be trained or tuned.

    Returns:
        The undiscounted return of each episode.
    """
    with _evaluation_runner(agent, env, num_episodes, seed, use_gpu) as (runner, seeds):
        return runner.evaluate(num_episodes, seeds)


def play(
    agent: "BaseAgent", env: "VecEnv", num_episodes: int = 100, *, seed: int = TEST_SEED, use_gpu: bool = False
) -> Experiences:
    """The episodes whose returns `evaluate` gives."""
    with _evaluation_runner(agent, env, num_episodes, seed, use_gpu) as (runner, seeds):
        return runner.generate_episodes(num_episodes, seeds)


@contextmanager
def _evaluation_runner(
    agent: "BaseAgent", env: "VecEnv", num_episodes: int, seed: int, use_gpu: bool
) -> Iterator[tuple[Runner, list[list[int]]]]:
    """A runner on fresh environments, with the agent in test mode, and the seeds of their episodes."""
    if num_episodes < 1:
        raise ValueError(f"num_episodes must be at least 1, got {num_episodes}")
    n = min(num_episodes, EVALUATION_ENVS)
    env_fns = [env.env_fns[i % env.num_envs] for i in range(n)]
    seeds = [[seed + k for k in range(i, num_episodes, n)] for i in range(n)]
    with preserved_random_state(), agent.test_mode(), env.like(env_fns) as own:
        yield Runner(own, agent, use_gpu), seeds


EVALUATION_ENVS = 25  # environments of an evaluation; a constant, so that results depend on nothing else
