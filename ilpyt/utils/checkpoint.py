"""Saving and loading weights: atomically, named by step, and without running what a file may bring."""

import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import torch

from ilpyt.utils.errors import DataError


@contextmanager
def atomic_write(path: str | Path) -> Iterator[IO[bytes]]:
    """A binary file that takes the place of `path` once all is written and on disk; until then `path` stays as it was.

    If the writing fails, the half-written file is removed.
    """
    path = Path(path)
    fd, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(fd, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def save_state(path: str | Path, state: dict[str, Any]) -> None:
    """Write a (nested) dict of tensors and plain values."""
    with atomic_write(path) as file:
        torch.save(state, file)


def load_state(path: str | Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Read what `save_state` wrote; a file that holds anything but tensors and plain values is refused.

    Raises:
        FileNotFoundError, DataError.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no file {Path(path).absolute()}")
    try:
        state = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:
        raise DataError(f"{path} is not a file of weights, or a broken one: {error}") from error
    if not isinstance(state, dict):
        raise DataError(f"{path} holds a {type(state).__name__}, not a dict of weights")
    return state


def step_path(folder: str | Path, name: str, step: int) -> Path:
    """Where the weights of network `name` at a step are saved."""
    return Path(folder) / f"{name}_{step}.pth"


def saved_steps(folder: str | Path, name: str) -> list[int]:
    """The steps at which network `name`, of exactly this name, was saved in a folder, ascending."""
    pattern = re.compile(re.escape(name) + r"_(\d+)\.pth")
    matches = (pattern.fullmatch(file.name) for file in Path(folder).glob("*.pth"))
    return sorted(int(match[1]) for match in matches if match)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
