"""`Experiences`: whole episodes, and what a demonstration file holds.

They check themselves when they are made; after that nobody asks again.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ilpyt.runners.arrays import fields_from_arrays
from ilpyt.runners.batch import Batch
from ilpyt.runners.fit import fitted_fields
from ilpyt.utils.demos import FIELDS, read_demos, write_demos
from ilpyt.utils.errors import DataError

if TYPE_CHECKING:
    from ilpyt.envs import VecEnv

MINARI = "minari:"  # what is before a dataset's id where a file's path could be


class Experiences:
    """Episodes end to end, M transitions in all: what a demonstration file holds.

    Attributes:
        states: [M, *obs], float32; uint8 for images.
        actions: int64 [M] or float32 [M, A].
        rewards: float32 [M].
        dones: bool [M]; the last transition of an episode. The last episode may be unfinished.
        truncated: bool [M]; the episode was cut off here (a time limit), not ended by a terminal state.
        metadata: where they come from: environment, package, versions, expert.
    """

    states: Tensor
    actions: Tensor
    rewards: Tensor
    dones: Tensor
    truncated: Tensor
    metadata: dict[str, Any]

    def __init__(
        self,
        states: Any = None,
        actions: Any = None,
        rewards: Any = None,
        dones: Any = None,
        truncated: Any = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        """Take arrays, tensors or nested lists; nothing at all makes an empty one, to `add` to."""
        self.metadata = dict(metadata or {})
        self._parts: list[dict[str, Tensor]] = []
        if states is not None:
            self.add(states, actions, rewards, dones, truncated)

    def __getattr__(self, name: str) -> Any:
        if name in FIELDS:  # joined on first use, so that `add` costs the same however much there is
            self._join()
            return self.__dict__[name]
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def add(self, states: Any, actions: Any, rewards: Any, dones: Any, truncated: Any = None) -> None:
        """Append one transition, or several that follow each other (leading dimension M in all five).

        Raises:
            DataError: lengths or shapes that don't match each other, or those already there.
        """
        if np.ndim(dones) == 0:
            states, actions, rewards, dones = ([x] for x in (states, actions, rewards, dones))
            truncated = None if truncated is None else [truncated]
        part = {
            "states": _tensor(states, "states"),
            "actions": _tensor(actions, "actions"),
            "rewards": _tensor(rewards, "rewards").float(),
            "dones": _tensor(dones, "dones").bool(),
        }
        part["truncated"] = (
            torch.zeros_like(part["dones"]) if truncated is None else _tensor(truncated, "truncated").bool()
        )
        if part["actions"].dtype != torch.float32:
            part["actions"] = part["actions"].long()
        if part["states"].dtype != torch.uint8 or part["states"].dim() != 4:
            part["states"] = part["states"].float()
        lengths = {name: len(tensor) for name, tensor in part.items()}
        if len(set(lengths.values())) > 1:
            raise DataError(f"fields differ in length: {', '.join(f'{k} {v}' for k, v in lengths.items())}")
        for name in ("rewards", "dones", "truncated"):
            if part[name].dim() != 1:
                raise DataError(f"{name} have shape {list(part[name].shape)}, expected [{len(part[name])}]")
        first = self._parts[0] if self._parts else self.__dict__
        for name in ("states", "actions"):
            if name in first and first[name].shape[1:] != part[name].shape[1:]:
                raise DataError(
                    f"{name} have shape {list(part[name].shape[1:])}, those already there {list(first[name].shape[1:])}"
                )
        if "states" in self.__dict__:
            self._parts = [{name: self.__dict__.pop(name) for name in FIELDS}]
        self._parts.append(part)

    def __len__(self) -> int:
        """Number of transitions."""
        if "dones" in self.__dict__:
            return len(self.dones)
        return sum(len(part["dones"]) for part in self._parts)

    def __getitem__(self, index: Any) -> "Experiences":
        """Some of the transitions, by a slice or a tensor of indices; unchecked, since the whole was checked."""
        chosen = Experiences.__new__(Experiences)
        chosen.__dict__.update({name: getattr(self, name)[index] for name in FIELDS})
        chosen.__dict__.update(metadata=self.metadata, _parts=[])
        return chosen

    def __repr__(self) -> str:
        return f"Experiences({len(self.bounds())} episodes, {len(self)} transitions)"

    def bounds(self) -> list[tuple[int, int]]:
        """First transition of every episode, and the one after its last."""
        if not len(self):
            return []
        ends: list[int] = (torch.nonzero(self.dones).flatten() + 1).tolist()
        if not ends or ends[-1] < len(self):
            ends.append(len(self))
        return list(zip([0, *ends[:-1]], ends, strict=True))

    def episodes(self) -> list["Experiences"]:
        """Every episode; a trailing unfinished one counts."""
        return [self[start:end] for start, end in self.bounds()]

    def split(self, fraction: float) -> tuple["Experiences", "Experiences"]:
        """All but a share of the episodes, drawn at random, and that share.

        Transitions of one episode are never on both sides: they resemble each other too much for one side to test what
        was learnt from the other.

        Args:
            fraction: share of the episodes on the second side; at least one episode is on each.
        """
        bounds = self.bounds()
        if not 0 < fraction < 1 or len(bounds) < 2:
            raise ValueError(f"can't split off {fraction} of {len(bounds)} episodes; it takes 0 < fraction < 1 and 2")
        order = torch.randperm(len(bounds)).tolist()
        n = min(max(1, round(fraction * len(bounds))), len(bounds) - 1)
        second, first = (torch.cat([torch.arange(*bounds[i]) for i in sorted(part)]) for part in (order[:n], order[n:]))
        return self[first], self[second]

    def to_batch(self) -> Batch:
        """The transitions whose successor is known, end to end as if one environment had made them: [M', 1, ...].

        Where an episode was cut off, its last transition is left out, since no file holds the state after it. Where it
        ended by itself, `next_states` repeats the state: a terminal state's value is 0, whatever it looks like.
        """
        ends = self.dones.clone()
        ends[-1] = True
        terminated = self.dones & ~self.truncated
        kept = ~ends | terminated
        rows = torch.arange(len(self), device=ends.device)
        following = torch.where(ends, rows, rows + 1)
        cut = torch.zeros_like(ends)
        cut[:-1] = ~kept[1:]  # the transition before one that is left out is the last of its episode
        fields = {
            "states": self.states,
            "actions": self.actions,
            "rewards": self.rewards,
            "dones": ends | cut,
            "terminated": terminated,
            "next_states": self.states[following],
        }
        columns: dict[str, Any] = {name: tensor[kept][:, None] for name, tensor in fields.items()}
        return Batch(**columns)

    def get_episode_rewards(self) -> list[float]:
        """The return (undiscounted sum of rewards) of every episode."""
        rewards = self.rewards.double()
        return [rewards[start:end].sum().item() for start, end in self.bounds()]

    def to_torch(self) -> "Experiences":
        """Itself: fields are tensors. Kept for code written for the 2021 release."""
        self._join()
        return self

    def to_gpu(self) -> "Experiences":
        """Move all fields to the GPU."""
        self._join()
        self.__dict__.update({name: getattr(self, name).cuda() for name in FIELDS})
        return self

    def save(self, path: str | Path) -> None:
        """Write a `.npz` or `.pkl` file; it appears whole or not at all."""
        write_demos(path, self)

    @classmethod
    def load(cls, path: str | Path) -> "Experiences":
        """Read a demonstration file, also one of the 2021 release, without running anything in it.

        Args:
            path: the file; or 'minari:ID' for `from_minari`.

        Raises:
            FileNotFoundError, DataError.
        """
        if str(path).startswith(MINARI):
            return cls.from_minari(str(path).removeprefix(MINARI))
        demos = read_demos(path)
        try:
            return cls(**demos)
        except DataError as error:
            raise DataError(f"{path}: {error}") from None

    @classmethod
    def from_arrays(
        cls,
        states: Any,
        actions: Any,
        rewards: Any = None,
        dones: Any = None,
        *,
        terminated: Any = None,
        truncated: Any = None,
        metadata: dict[str, Any] | None = None,
    ) -> "Experiences":
        """Demonstrations from arrays, tensors or nested lists: of M transitions end to end, or of one episode each.

        States and actions are as `build_env` lays them out: vectors or images (height, width, channels), whole numbers
        from 0 or vectors.

        Args:
            states: [M, *obs]; or a list of an array [T, *obs] an episode. One with T + 1 states has also what came
                after the last action; that is dropped. A grey image has a last dimension of 1.
            actions: [M] or [M, A]; or a list of an array [T] or [T, A] an episode.
            rewards: [M], or a list of [T]; None: zeros, since imitation learns without them.
            dones: bool [M], the last transition of each episode. Not for lists, where each array is an episode.
            terminated: bool [M], or a list of one bool, or of bool [T], an episode: it ended by itself. An episode that
                didn't, if it is given, was cut off. For flat arrays, `terminated` or `truncated` can replace `dones`.
            truncated: likewise: it was cut off, for instance by a time limit.
            metadata: where they come from.

        Raises:
            DataError: what doesn't go together, with field, episode and lengths.
        """
        return cls(**fields_from_arrays(states, actions, rewards, dones, terminated, truncated), metadata=metadata)

    @classmethod
    def from_minari(cls, dataset: Any, num_episodes: int | None = None) -> "Experiences":
        """The episodes of a Minari dataset, laid out as `build_env` lays out its environment's.

        What an episode's last action led to is dropped. An episode that doesn't end as terminated was cut off.

        Args:
            dataset: a `minari.MinariDataset`, or the id of one on this disk; nothing is downloaded.
            num_episodes: the first so many; None: all.

        Raises:
            MissingExtraError: Minari isn't installed.
            DataError: no such dataset, a broken one, fewer episodes, or spaces that ilpyt can't learn from.
        """
        from ilpyt.runners.minari import read_dataset

        return cls(**read_dataset(dataset, num_episodes))

    def to_minari(self, dataset_id: str, env: "VecEnv", **about: str) -> Any:
        """Write them as a Minari dataset, with observations and actions as the environment itself has them.

        The last observation of an episode repeats the one before, since there is none after its last transition; an
        unfinished last episode is written as cut off. The dataset names its environment, so that
        `recover_environment` makes it, where gymnasium can make it: not one of gym's or that a function makes.

        Args:
            dataset_id: as Minari has them, 'name-v0' or 'group/name-v0'.
            env: which they are from; one more such environment is made, and closed.
            about: `author`, `author_email`, `code_permalink`, `description`, `algorithm_name`; by default, as their
                metadata have them.

        Returns:
            the `minari.MinariDataset`.

        Raises:
            MissingExtraError: Minari isn't installed.
            DataError: an id that is taken or malformed; see also `fit_to`.
            SaveError: it can't be written.
        """
        from ilpyt.runners.minari import write_dataset

        return write_dataset(self, dataset_id, env, **about)

    def fit_to(self, env: "VecEnv", source: str = "demonstrations") -> "Experiences":
        """These experiences with states and actions as `env` has them, after checking that they could come from it.

        Discrete actions may be stored in any dtype that holds whole numbers, and with a trailing dimension of 1.

        Args:
            source: what errors call them, for instance the file's path.

        Raises:
            DataError: empty, another observation or action shape, nan or infinite values, actions out of range. It
                names field, episode and step.
        """
        fitted = self[:]
        fitted.__dict__.update(fitted_fields(self, env, source))
        return fitted

    def _join(self) -> None:
        if "states" in self.__dict__:
            return
        if not self._parts:
            raise DataError("these Experiences are empty")
        first, *others = self._parts
        joined = {name: torch.cat([part[name] for part in self._parts]) for name in FIELDS} if others else first
        self.__dict__.update(joined)
        self._parts = []

    def __getstate__(self) -> dict[str, Any]:
        """Plain arrays, discrete actions as small as they fit: what files hold."""
        arrays = {name: np.ascontiguousarray(getattr(self, name).cpu().numpy()) for name in FIELDS}
        if not self.actions.is_floating_point() and len(self) and self.actions.min() >= 0 and self.actions.max() < 256:
            arrays["actions"] = arrays["actions"].astype(np.uint8)
        return {**arrays, "metadata": self.metadata}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]


def _tensor(value: Any, name: str) -> Tensor:
    try:
        tensor = value.clone() if isinstance(value, Tensor) else torch.from_numpy(np.array(value))
    except (TypeError, ValueError) as error:
        raise DataError(f"{name} can't be made a tensor: {error}") from None
    return tensor.float() if tensor.is_floating_point() else tensor
