"""Saving and loading weights: atomically, named by step, and without running what a file may bring."""

import math
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import torch

from ilpyt.utils.errors import DataError, SaveError
from ilpyt.utils.untrusted import Function, Reader, RefusedError, Stateful, open_archive, product, run_pickle


@contextmanager
def atomic_write(path: str | Path) -> Iterator[IO[bytes]]:
    """A binary file that takes the place of `path` once all is written and on disk; until then `path` stays as it was.

    If the writing fails, the half-written file is removed; if the process is killed, it remains, as
    `.<name>.<random>.tmp`.

    Raises:
        SaveError: there is no room, or no permission.
    """
    path = Path(path)
    temporary = None
    try:
        fd, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        with os.fdopen(fd, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o666 & ~_umask())
        os.replace(temporary, path)
        temporary = None
        _sync_folder(path.parent)
    except Exception as error:
        reason = error if isinstance(error, OSError) else error.__context__  # PyTorch's writer hides it
        if not isinstance(reason, OSError) or isinstance(error, SaveError):
            raise
        raise SaveError(
            f"{path.absolute()} can't be written: {reason.strerror or reason}; what was there before is as it was"
        ) from error
    finally:
        if temporary is not None:
            os.unlink(temporary)


def _sync_folder(folder: Path) -> None:
    """See to it that a file's new name is on the disk, too."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def save_state(path: str | Path, state: dict[str, Any]) -> None:
    """Write a (nested) dict of tensors and plain values."""
    with atomic_write(path) as file:
        torch.save(state, file)


def load_state(path: str | Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Read what `save_state` wrote; a file that holds anything but tensors and plain values is refused.

    Raises:
        FileNotFoundError: there is none.
        DataError: it is broken (a bit has flipped, say), or not what it seems.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path.absolute()}")
    try:
        with path.open("rb") as file:
            _inspect(Reader(file))
            file.seek(0)
            state = torch.load(file, map_location=device, weights_only=True)
    except RefusedError as error:
        raise DataError(f"{path} is refused as a file of weights: {error}; nothing of it was run") from None
    except Exception as error:
        why = str(error)[:500] or type(error).__name__
        raise DataError(f"{path} is not a file of weights, or a broken one: {why}") from error
    return state


def _inspect(reader: Reader) -> None:
    """Look at a file of `torch.save` before PyTorch does, which trusts sizes and doesn't check sums.

    Raises:
        RefusedError, Exception: PyTorch shouldn't read it.
    """
    archive = open_archive(reader, compressed=False)
    damaged = archive.testzip()
    if damaged is not None:
        raise RefusedError(f"its member {damaged} is damaged")
    sizes = {member.filename: member.file_size for member in archive.infolist()}
    programs = [name for name in sizes if name.endswith("/data.pkl")]
    if len(programs) != 1 or len({name.partition("/")[0] for name in sizes}) > 1:
        raise RefusedError("it isn't laid out as PyTorch does")
    folder = programs[0].removesuffix("data.pkl")

    def storage(described: Any) -> _Storage:
        kind, element_size, key, _, count = described
        if kind != "storage" or type(element_size) is not int or type(count) is not int or type(key) is not str:
            raise RefusedError("it has a tensor whose memory is none")
        if sizes.get(f"{folder}data/{key}") != count * element_size:
            raise RefusedError(f"it has a tensor said to hold {count} numbers, which isn't its length")
        return _Storage(count)

    with archive.open(programs[0]) as file:
        state = run_pickle(file, _KNOWN, persistent=storage)
    if not isinstance(state, dict):
        raise RefusedError(f"it holds a {type(state).__name__}, not a dict of weights")


@dataclass(frozen=True)
class _Storage:
    """The memory of tensors, `count` numbers."""

    count: int


class _Dict(dict, Stateful):
    """A network's `state_dict`, which has an attribute, `_metadata`."""

    def set_state(self, state: Any) -> None:
        if not isinstance(state, dict):
            raise RefusedError("it has a dict of weights whose state is none")


def _check_tensor(storage: _Storage, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> None:
    """Whether a tensor lies in its memory, and has no more numbers than that."""
    last = offset + sum((length - 1) * step for length, step in zip(size, stride, strict=True))
    numbers = product(size)
    if min(offset, *size, *stride, 0) < 0 or numbers > storage.count or (numbers and last >= storage.count):
        raise RefusedError("it has a tensor larger than its memory")


_ELEMENTS = {
    "Double": 8, "Float": 4, "Half": 2, "BFloat16": 2, "Long": 8, "Int": 4, "Short": 2, "Char": 1, "Byte": 1, "Bool": 1,
}  # fmt: skip
_KNOWN: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): Function(lambda: _Dict()),
    ("torch._utils", "_rebuild_tensor_v2"): Function(_check_tensor),
    **{("torch", f"{name}Storage"): size for name, size in _ELEMENTS.items()},
}


def check_like(state: Any, own: Any, name: str = "its state") -> None:
    """Refuse a state that isn't built as one's own is: other keys, types, shapes; nan where there is none.

    What is None or empty in one's own may be anything: whoever loads it checks it.

    Raises:
        DataError: it names the part.
    """
    if own is None or (isinstance(own, dict | list | tuple) and not own):
        return
    expected: Any = (int, float) if type(own) is float else type(own)
    if not isinstance(state, expected) or isinstance(state, bool) != isinstance(own, bool):
        raise DataError(f"{name} is a {type(state).__name__}, not a {type(own).__name__}")
    if isinstance(own, torch.Tensor):
        _check_tensor_like(state, own, name)
    elif isinstance(own, dict):
        if state.keys() != own.keys():
            raise DataError(f"{name} has other parts: {', '.join(sorted(map(str, state.keys() ^ own.keys())))}")
        for key, value in own.items():
            check_like(state[key], value, f"{name}.{key}")
    elif isinstance(own, list | tuple):
        if isinstance(own, tuple) and len(state) != len(own):
            raise DataError(f"{name} has {len(state)} parts, not {len(own)}")
        for k, part in enumerate(state):
            check_like(part, own[min(k, len(own) - 1)], f"{name}.{k}")
    elif isinstance(own, int) and not (0 <= state < 2**63 or own < 0):
        raise DataError(f"{name} is {state}")
    elif isinstance(own, float) and math.isnan(state) and not math.isnan(own):
        raise DataError(f"{name} is nan")


def _check_tensor_like(tensor: torch.Tensor, own: torch.Tensor, name: str) -> None:
    if not own.numel():
        return
    if tensor.dtype != own.dtype or tensor.shape != own.shape:
        raise DataError(f"{name} is {tensor.dtype} {list(tensor.shape)}, not {own.dtype} {list(own.shape)}")
    if tensor.is_floating_point() and not torch.isfinite(tensor).all():
        raise DataError(f"{name} holds nan or infinity")


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
