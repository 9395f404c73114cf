"""Saving and loading weights: atomically, named by step, and without running what a file may bring."""

import math
import os
import re
import tempfile
from collections import OrderedDict
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
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
    except Exception as error:
        hidden = error.__context__ if "inline_container" in str(error) else None  # PyTorch's writer hides the reason
        reason = hidden or error
        if not isinstance(reason, OSError) or isinstance(reason, SaveError):
            raise
        raise SaveError(
            f"{path.absolute()} can't be written: {reason.strerror or reason}; what was there before is as it was"
        ) from error
    finally:
        if temporary is not None:
            with suppress(OSError):
                os.unlink(temporary)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """See to it that a file's new name is on the disk, too, where the system can do that."""
    with suppress(OSError):
        fd = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def save_state(path: str | Path, state: dict[str, Any]) -> None:
    """Write a (nested) dict of tensors and plain values.

    Raises:
        TypeError: there is something else in it, which `load_state` would refuse.
        SaveError: see `atomic_write`.
    """
    plain = _plain(state, "state")
    with atomic_write(path) as file:
        torch.save(plain, file)


def _plain(value: Any, name: str) -> Any:
    """The same, of types that `load_state` reads; NumPy's numbers become Python's."""
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, np.generic):
        return _plain(value.item(), name)
    if isinstance(value, torch.Tensor):
        value = value.detach()
        return value if value.numel() * value.element_size() <= value.untyped_storage().nbytes() else value.contiguous()
    if isinstance(value, dict):
        if not all(type(key) in (str, int) for key in value):
            raise TypeError(f"{name} has keys that are neither text nor whole numbers; a checkpoint can't hold them")
        return {key: _plain(part, f"{name}.{key}") for key, part in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_plain(part, f"{name}.{k}") for k, part in enumerate(value))
    raise TypeError(f"{name} is a {type(value).__name__}; a checkpoint holds tensors, numbers, text, lists and dicts")


def load_state(path: str | Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Read what `save_state` wrote; a file that holds anything but tensors and plain values is refused.

    PyTorch's own reader has no part in it: it trusts sizes, doesn't check sums, and may see another archive in the same
    bytes.

    Args:
        path: the file.
        device: where tensors are to be.

    Raises:
        FileNotFoundError: there is none.
        DataError: it is broken (a bit has flipped, say), or not what it seems.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path.absolute()}")
    try:
        with path.open("rb") as file:
            state = _read(Reader(file), torch.device(device))
    except RefusedError as error:
        raise DataError(f"{path} is refused as a file of weights: {error}; nothing of it was run") from None
    except Exception as error:
        why = str(error)[:500] or type(error).__name__
        raise DataError(f"{path} is not a file of weights, or a broken one: {why}") from error
    return state


def _read(reader: Reader, device: torch.device) -> dict[str, Any]:
    """What an archive of `torch.save` holds: `data.pkl`, and the memory of each tensor in a member of its own."""
    archive = open_archive(reader, compressed=False)
    members = {member.filename: member for member in archive.infolist()}
    programs = [name for name in members if name.endswith("/data.pkl")]
    if len(programs) != 1:
        raise RefusedError("it isn't laid out as PyTorch does")
    folder = programs[0].removesuffix("data.pkl")
    storages: dict[str, torch.Tensor] = {}

    def storage(described: Any) -> torch.Tensor:
        kind, dtype, key, _, count = described
        if kind != "storage" or not isinstance(dtype, torch.dtype) or type(count) is not int or type(key) is not str:
            raise RefusedError("it has a tensor whose memory is none")
        if key not in storages:
            member = members.get(f"{folder}data/{key}")
            if member is None or member.file_size != count * dtype.itemsize:
                raise RefusedError(f"it has a tensor said to hold {count} numbers, which isn't its length")
            storages[key] = _numbers(archive.read(member), dtype).to(device)
        if storages[key].dtype != dtype:
            raise RefusedError("it has a memory of two types")
        return storages[key]

    with archive.open(programs[0]) as file:
        state = run_pickle(file, _KNOWN, persistent=storage)
    if not isinstance(state, dict):
        raise RefusedError(f"it holds a {type(state).__name__}, not a dict of weights")
    return state


def _numbers(content: bytes, dtype: torch.dtype) -> torch.Tensor:
    """The numbers [K] that some bytes are."""
    if dtype == torch.bool:
        return _numbers(content, torch.uint8) != 0
    return torch.frombuffer(bytearray(content), dtype=dtype) if content else torch.empty(0, dtype=dtype)


class _Dict(dict, Stateful):
    """A network's `state_dict`, which has an attribute, `_metadata`."""

    def set_state(self, state: Any) -> None:
        if not isinstance(state, dict):
            raise RefusedError("it has a dict of weights whose state is none")


def rebuild_tensor(storage: Any, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> torch.Tensor:
    """A tensor in a memory [K], which it may not leave, nor hold more numbers than.

    Raises:
        RefusedError: it would.
    """
    if not isinstance(storage, torch.Tensor) or min(offset, *size, *stride, 0) < 0 or product(size) > storage.numel():
        raise RefusedError("it has a tensor larger than its memory")
    return storage.as_strided(size, stride, offset)


DTYPES = {
    "DoubleStorage": torch.float64, "FloatStorage": torch.float32, "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16, "LongStorage": torch.int64, "IntStorage": torch.int32,
    "ShortStorage": torch.int16, "CharStorage": torch.int8, "ByteStorage": torch.uint8, "BoolStorage": torch.bool,
}  # fmt: skip
_KNOWN: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): Function(lambda: _Dict()),
    ("torch._utils", "_rebuild_tensor_v2"): Function(rebuild_tensor),
    **{("torch", name): dtype for name, dtype in DTYPES.items()},
}


def check_like(state: Any, own: Any, name: str = "its state", free: Collection[str] = ()) -> None:
    """Refuse a state that isn't built as one's own is: other keys, types, shapes; nan where there is none.

    Args:
        state: to look at.
        own: one that fits; parts that are None in it may be anything.
        name: what errors call it.
        free: keys, at any depth, of parts that whoever loads them checks.

    Raises:
        DataError: it names the part.
    """
    if own is None:
        return
    own = own.item() if isinstance(own, np.generic) else own
    expected: Any = {float: (int, float), OrderedDict: dict}.get(type(own), type(own))
    if not isinstance(state, expected) or isinstance(state, bool) != isinstance(own, bool):
        raise DataError(f"{name} is a {type(state).__name__}, not a {type(own).__name__}")
    if isinstance(own, torch.Tensor):
        _check_tensor_like(state, own, name)
    elif isinstance(own, dict):
        if state.keys() != own.keys():
            raise DataError(f"{name} has other parts: {', '.join(sorted(map(str, state.keys() ^ own.keys())))[:500]}")
        for key, value in own.items():
            if key not in free:
                check_like(state[key], value, f"{name}.{key}", free)
    elif isinstance(own, list | tuple):
        if len(state) != len(own):
            raise DataError(f"{name} has {len(state)} parts, not {len(own)}")
        for k, (its, value) in enumerate(zip(state, own, strict=True)):
            check_like(its, value, f"{name}.{k}", free)
    elif isinstance(own, int) and not (0 <= state < 2**63 or own < 0):
        raise DataError(f"{name} is out of range")
    elif isinstance(own, float) and math.isnan(state) and not math.isnan(own):
        raise DataError(f"{name} is nan")


def check_all_like(states: Any, own: Any, name: str) -> None:
    """Refuse a list of states of which one isn't built as one's own is; see `check_like`."""
    if not isinstance(states, list):
        raise DataError(f"{name} are a {type(states).__name__}, not a list")
    for k, state in enumerate(states):
        check_like(state, own, f"{name}, no. {k}")


def _check_tensor_like(tensor: torch.Tensor, own: torch.Tensor, name: str) -> None:
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
