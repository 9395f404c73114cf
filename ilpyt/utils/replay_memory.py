"""`ReplayMemory`: the latest transitions, to learn from more than once (Lin 1992; Mnih et al. 2015)."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ilpyt.utils.errors import DataError


class Transitions(NamedTuple):
    """B transitions over n env steps, drawn from a replay memory.

    Attributes:
        states: [B, *obs], as they were stored.
        actions: int64 [B] or float32 [B, A].
        rewards: float32 [B]; discounted sum over the steps.
        next_states: [B, *obs]; the state after the last of them.
        discounts: float32 [B]; what the value of `next_states` is multiplied with: gamma to the number of steps, and 0
            where the last one led to a terminal state.
    """

    states: Tensor
    actions: Tensor
    rewards: Tensor
    next_states: Tensor
    discounts: Tensor


class ReplayMemory:
    """A ring of transitions in tensors that are allocated once; the oldest are overwritten first.

    Rows are env steps, columns environments, so that the steps that follow a transition are found below it.
    """

    FIELDS = ("states", "actions", "rewards", "dones", "terminated", "next_states")

    def __init__(self, capacity: int) -> None:
        """Hold nothing yet; the first `add` allocates memory.

        Args:
            capacity: number of transitions, of all environments together.
        """
        if capacity < 1:
            raise ValueError(f"a replay memory needs a capacity of at least 1, got {capacity}")
        self.capacity = capacity
        self.rows = 0  # what it can hold of each environment
        self.size = 0  # rows that are filled
        self.head = 0  # the row that is written next
        self._data: dict[str, Tensor] = {}
        self._flat: dict[str, Tensor] = {}

    def __len__(self) -> int:
        """Number of transitions held."""
        return self.size * self._data["rewards"].shape[1] if self._data else 0

    def add(self, batch: Any) -> None:
        """Append a rollout, whose fields are [T, N, ...]; images stay uint8.

        Raises:
            ValueError: a step has more environments than the capacity.
            DataError: the rollout has another number of environments than those before, or its fields have other shapes
                or types.
        """
        steps, num_envs = batch.rewards.shape
        if not self._data:
            self._allocate(batch, num_envs)
        if num_envs != self._data["rewards"].shape[1]:
            held = self._data["rewards"].shape[1]
            raise DataError(f"this replay memory holds transitions of {held} environments, got {num_envs}")
        for name, ring in self._data.items():
            latest = getattr(batch, name)
            if latest.shape[2:] != ring.shape[2:] or latest.dtype != ring.dtype:
                raise DataError(
                    f"this replay memory holds {name} of {ring.dtype} {list(ring.shape[2:])}, got {latest.dtype} "
                    f"{list(latest.shape[2:])}"
                )
        kept = min(steps, self.rows)
        first = min(kept, self.rows - self.head)  # what fits before the ring's end
        for name, ring in self._data.items():
            latest = getattr(batch, name)
            ring[self.head : self.head + first] = latest[steps - kept : steps - kept + first]
            if first < kept:
                ring[: kept - first] = latest[steps - kept + first :]
        self.head = (self.head + kept) % self.rows
        self.size = min(self.size + kept, self.rows)

    def cut(self) -> None:
        """What is added next doesn't follow what was added last: no n-step transition goes across."""
        if self.size:
            self._data["dones"][self.head - 1] = True

    def sample(
        self, batch_size: int, gamma: float, n_step: int = 1, reward: Callable[[Any], Tensor] | None = None
    ) -> Transitions:
        """Draw transitions uniformly, with replacement.

        Args:
            batch_size: how many, B.
            gamma: discount per env step.
            n_step: sum rewards over so many env steps, fewer where the episode ends before (Sutton & Barto 2018, eq.
                7.1). The latest `n_step - 1` steps, whose successors aren't there yet, aren't drawn as a beginning.
            reward: gives the rewards [B] of B transitions (`states`, `actions`, `next_states`), in the place of those
                that were stored.

        Raises:
            ValueError: fewer than `n_step` env steps are held.
        """
        if self.size < n_step:
            raise ValueError(f"can't sample {n_step}-step transitions: the memory holds {self.size} steps")
        flat, num_envs = self._flat, self._data["rewards"].shape[1]
        start = torch.randint((self.size - n_step + 1) * num_envs, (batch_size,), device=flat["rewards"].device)
        if self.size == self.rows:
            start = (start + self.head * num_envs) % (self.rows * num_envs)  # counted from the oldest

        def rewards_of(rows: Tensor) -> Tensor:
            if reward is None:
                return flat["rewards"].index_select(0, rows)
            return reward(_Rollout(**{name: field.index_select(0, rows) for name, field in flat.items()}))

        rewards = rewards_of(start)
        last = start
        if n_step > 1:
            running = ~flat["dones"][start]
            discount = torch.full_like(rewards, gamma)
            for k in range(1, n_step):
                row = (start + k * num_envs) % (self.rows * num_envs)
                rewards = rewards + discount * running * rewards_of(row)
                last = torch.where(running, row, last)
                discount = torch.where(running, discount * gamma, discount)
                running &= ~flat["dones"][row]
            discounts = discount * ~flat["terminated"][last]
        else:
            discounts = gamma * ~flat["terminated"].index_select(0, last)
        states, actions = (flat[name].index_select(0, start) for name in ("states", "actions"))
        return Transitions(states, actions, rewards, flat["next_states"].index_select(0, last), discounts)

    def state_dict(self) -> dict[str, Any]:
        """What it holds, oldest first."""
        order = (torch.arange(self.size) + self.head - self.size) % max(self.rows, 1)
        return {name: ring[order.to(ring.device)] for name, ring in self._data.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        self._data, self.rows, self.size, self.head = {}, 0, 0, 0
        if state:
            rollout = _Rollout(**state)
            if any(tensor.shape[:2] != rollout.rewards.shape for tensor in rollout):
                raise DataError(f"a replay memory's fields differ: {', '.join(str(list(t.shape)) for t in rollout)}")
            self.add(rollout)
            self.cut()  # environments begin new episodes

    def _allocate(self, batch: Any, num_envs: int) -> None:
        self.rows = self.capacity // num_envs
        if self.rows < 1:
            raise ValueError(
                f"a replay memory of {self.capacity} transitions can't hold a step of {num_envs} environments"
            )
        for name in self.FIELDS:
            sample = getattr(batch, name)
            self._data[name] = sample.new_empty((self.rows, *sample.shape[1:]))
        self._flat = {name: ring.flatten(0, 1) for name, ring in self._data.items()}  # views, [rows * N, ...]


class _Rollout(NamedTuple):
    states: Tensor
    actions: Tensor
    rewards: Tensor
    dones: Tensor
    terminated: Tensor
    next_states: Tensor
