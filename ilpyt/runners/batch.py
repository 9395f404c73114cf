"""`Batch`: a rollout, or any other transitions.

It checks itself when it is made; after that nobody asks again.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from ilpyt.utils.errors import DataError


@dataclass(frozen=True)
class Batch:
    """Transitions, time-major: T steps of N environments, or M of them in one row after `flatten`.

    Leading dimensions are [T, N], or [M].

    Attributes:
        states: [.., *obs], float32; uint8 for images.
        actions: int64 [..] or float32 [.., A], as the agent chose them (not clipped).
        rewards: float32 [..].
        dones: bool [..]; the episode ended here, for whatever reason.
        terminated: bool [..]; it ended in a terminal state, whose value is 0.
        next_states: [.., *obs]; the true successors, also where an episode ended.
        infos: the episodes that ended in these steps: dicts of `env` (index), `return` (sum of rewards), `length`
            (steps).
    """

    FIELDS: ClassVar = ("states", "actions", "rewards", "dones", "terminated", "next_states")  # those that are tensors

    states: Tensor
    actions: Tensor
    rewards: Tensor
    dones: Tensor
    terminated: Tensor
    next_states: Tensor
    infos: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        lead = tuple(self.rewards.shape)
        for name, tensor in self.tensors().items():
            if tuple(tensor.shape[: len(lead)]) != lead:
                raise DataError(f"{name} has shape {list(tensor.shape)}, but rewards have {list(lead)}")
        for name in ("dones", "terminated"):
            flags = getattr(self, name)
            if flags.shape != self.rewards.shape or flags.dtype != torch.bool:
                raise DataError(f"{name} must be bool {list(lead)}, got {flags.dtype} {list(flags.shape)}")
        if self.next_states.shape != self.states.shape:
            raise DataError(
                f"next_states have shape {list(self.next_states.shape)}, but states have {list(self.states.shape)}"
            )

    def __getitem__(self, name: str) -> Any:
        """A field by name."""
        if name not in {f.name for f in fields(self)}:
            raise KeyError(name)
        return getattr(self, name)

    def __len__(self) -> int:
        """Size of the first dimension."""
        return len(self.rewards)

    def tensors(self) -> dict[str, Tensor]:
        """The fields that are tensors, by name."""
        return {name: getattr(self, name) for name in self.FIELDS}

    def replace(self, **changes: Any) -> "Batch":
        """A copy with other values for some fields."""
        return replace(self, **changes)

    def to(self, device: torch.device | str) -> "Batch":
        """The batch on a device."""
        return self.replace(**{name: t.to(device) for name, t in self.tensors().items()})

    def flatten(self) -> "Batch":
        """Time and environments in one dimension: [T, N, ...] to [T * N, ...]."""
        lead = self.rewards.dim()
        return self.replace(**{name: t.flatten(0, lead - 1) for name, t in self.tensors().items()})

    def minibatches(self, size: int, generator: torch.Generator | None = None) -> Iterator["Batch"]:
        """Flat batches of `size` transitions (the last may be smaller) that cover all of them once, in random order."""
        flat = self.flatten().replace(infos=[])
        for indices in torch.randperm(len(flat), generator=generator).split(size):
            indices = indices.to(flat.rewards.device)
            yield flat.replace(**{name: t[indices] for name, t in flat.tensors().items()})
