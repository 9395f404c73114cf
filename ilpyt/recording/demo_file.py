"""A demonstration file that is written again with every episode that a person keeps (`ilpyt.recording`)."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ilpyt.utils.errors import DataError, SaveError

if TYPE_CHECKING:
    from ilpyt.envs import VecEnv
    from ilpyt.runners import Experiences

SUFFIXES = (".npz", ".pkl")
BY_KEYBOARD = "by keyboard"


class DemoFile:
    """A demonstration file that grows by an episode at a time.

    Attributes:
        experiences: what is in it.
        seeds: of the environment, one for each episode that was recorded.
        next_seed: one that none of its episodes has had.
        returns: of all its episodes.
    """

    def __init__(self, path: Path, env: "VecEnv") -> None:
        from ilpyt.runners import Experiences

        self.path = path
        self.experiences = Experiences(metadata=dict(env.description))
        if path.exists():
            self.experiences = _load(path, env)
        metadata = self.experiences.metadata
        former = len(self.experiences.bounds())
        metadata.setdefault("recorded", f"{BY_KEYBOARD}, from episode {former} on" if former else BY_KEYBOARD)
        earlier = _numbers(metadata.get("seeds"))
        name = "seeds" if metadata["recorded"] == BY_KEYBOARD else "recorded_seeds"  # others' may mean something else
        self.seeds = metadata[name] = _numbers(metadata.get(name))
        self.next_seed = max([*earlier, *self.seeds], default=-1) + 1
        self.returns = self.experiences.get_episode_rewards() if former else []

    def add(self, steps: list[tuple], seed: int) -> None:
        """Append an episode, and write the file.

        Args:
            steps: state, action, reward, done and truncated of each step.
            seed: of the environment.
        """
        self.experiences.add(*(np.stack(column) for column in zip(*steps, strict=True)))
        self.seeds.append(seed)
        self.experiences.save(self.path)
        self.returns.append(total(steps))

    def summary(self) -> str:
        """What there is in the file now."""
        if not self.returns:
            return f"no episode was kept; {self.path} wasn't written"
        low, mean, high = min(self.returns), float(np.mean(self.returns)), max(self.returns)
        return f"{self.path}: {count(self.returns)}, returns {low:.1f} to {high:.1f}, mean {mean:.1f}"


def check_path(path: Path, append: bool) -> None:
    """Refuse a file that couldn't be written, before somebody has played for it."""
    if path.suffix not in SUFFIXES:
        raise ValueError(f"demonstrations are written as {' or '.join(SUFFIXES)}, not as {path.name!r}")
    if not path.parent.is_dir():
        raise SaveError(f"there is no folder {path.parent.absolute()} to write {path.name} into")
    if path.exists() and not append:
        raise SaveError(f"{path} is there already: append=True (--append) adds to it, out (--out) names another file")


def total(steps: list[tuple]) -> float:
    """The return of an episode so far."""
    return float(sum(float(step[2]) for step in steps))


def count(returns: list[float]) -> str:
    """How many episodes, in words."""
    return f"{len(returns)} episode{'' if len(returns) == 1 else 's'}"


def _load(path: Path, env: "VecEnv") -> "Experiences":
    """The episodes of a file, which must be of this environment."""
    from ilpyt.runners import Experiences

    experiences = Experiences.load(path)
    recorded, expected = experiences.metadata.get("env_id"), env.description["env_id"]
    if recorded not in (None, expected):
        raise DataError(f"{path} has episodes of {recorded}, to which none of {expected} can be added")
    experiences = experiences.fit_to(env, str(path))
    if not experiences.dones[-1]:
        raise DataError(f"{path}: its last episode is unfinished, so that none can follow it")
    return experiences


def _numbers(value: Any) -> list[int]:
    """A list of whole numbers; nothing else's."""
    return list(value) if isinstance(value, list) and all(isinstance(each, int) for each in value) else []
