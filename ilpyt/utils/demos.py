"""Demonstration files: reading them without trusting them, and writing them.

`.npz` is read with `allow_pickle=False`. `.pkl` is read by an unpickler that knows arrays, tensors and `Experiences`,
and nothing else: a pickle that asks for any other function is refused before anything runs.
"""

import io
import json
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ilpyt.utils.checkpoint import atomic_write
from ilpyt.utils.errors import DataError

FIELDS = ("states", "actions", "rewards", "dones", "truncated")


def read_demos(path: str | Path) -> dict[str, Any]:
    """The arrays of a demonstration file, by field, and its `metadata`.

    Returns:
        `states`, `actions`, `rewards`, `dones`; `truncated` and `metadata` if the file has them. Arrays are as in the
            file.

    Raises:
        FileNotFoundError: no such file.
        DataError: broken, empty, without a field, or a pickle that tries to run code.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there are no demonstrations at {path.absolute()}")
    content = path.read_bytes()
    if not content:
        raise DataError(f"{path} is empty")
    try:
        record = _read_npz(content) if zipfile.is_zipfile(io.BytesIO(content)) else _read_pickle(content)
    except _RefusedError as error:
        raise DataError(f"{path} is refused: {error}; nothing of it was run") from None
    except Exception as error:
        raise DataError(
            f"{path} is not a demonstration file, or a broken one ({error or type(error).__name__})"
        ) from error
    missing = [name for name in FIELDS[:4] if name not in record]
    if missing:
        raise DataError(f"{path} has no {', '.join(missing)}; a demonstration file has {', '.join(FIELDS[:4])}")
    demos: dict[str, Any] = {}
    for name in FIELDS:
        if record.get(name) is not None:
            demos[name] = _as_array(record[name], f"{path}: {name}")
    demos["metadata"] = record.get("metadata") or {}
    if not isinstance(demos["metadata"], dict):
        raise DataError(f"{path}: metadata is a {type(demos['metadata']).__name__}, not a dict")
    return demos


def write_demos(path: str | Path, experiences: Any) -> None:
    """Write `Experiences` as `.npz` (compressed) or `.pkl`, by the path's suffix; whole or not at all."""
    path = Path(path)
    if path.suffix == ".pkl":
        with atomic_write(path) as file:
            pickle.dump(experiences, file, protocol=5)
    elif path.suffix == ".npz":
        record = experiences.__getstate__()
        record["metadata"] = np.array(json.dumps(record["metadata"]))
        with atomic_write(path) as file:
            np.savez_compressed(file, **record)
    else:
        raise ValueError(f"demonstrations are written as .pkl or .npz, not as {path.name!r}")


def _read_npz(content: bytes) -> dict[str, Any]:
    with np.load(io.BytesIO(content), allow_pickle=False) as archive:
        record: dict[str, Any] = {name: archive[name] for name in archive.files}
    if "metadata" in record:
        record["metadata"] = json.loads(str(record["metadata"]))
    return record


def _read_pickle(content: bytes) -> dict[str, Any]:
    record = _Unpickler(io.BytesIO(content)).load()
    if isinstance(record, _Record):
        return vars(record)
    if isinstance(record, dict):
        return record
    raise ValueError(f"it holds a {type(record).__name__}, not Experiences")


def _as_array(value: Any, what: str) -> np.ndarray:
    array = value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise DataError(f"{what} holds {array.dtype}, not numbers")
    return array


class _RefusedError(Exception):
    """A pickle asked for something that demonstrations don't need."""


class _Record:
    """Stands in for `Experiences` while a file is read: its attributes, unchecked."""

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, dict):
            raise ValueError("the state of Experiences is not a dict")
        self.__dict__.update({str(k): v for k, v in state.items()})


class _Unpickler(pickle.Unpickler):
    """Finds what a pickle of `Experiences` needs, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        module = module.replace("numpy._core", "numpy.core")
        module = {"copyreg": "copy_reg", "builtins": "__builtin__"}.get(module, module)
        try:
            return _KNOWN[module, name]
        except KeyError:
            raise _RefusedError(f"it asks for {module}.{name}, which demonstrations don't need") from None


_NDARRAY = "numpy.ndarray"  # stands in for the class, so that a pickle can't call it


def _reconstruct(cls: Any, shape: Any, typecode: Any) -> np.ndarray:
    """The empty array that numpy's pickles begin with; its data follow."""
    return np.empty(0, np.int8)


def _from_buffer(buffer: Any, dtype: np.dtype, shape: tuple[int, ...], order: str) -> np.ndarray:
    return np.frombuffer(bytearray(buffer), dtype=dtype).reshape(shape, order=order)  # type: ignore[call-overload]


def _load_storage(content: bytes) -> Any:
    """A tensor's storage; its bytes are themselves a file of torch."""
    return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)


def _rebuild(cls: Any, base: Any, state: Any) -> _Record:
    """How pickles of protocols 0 and 1 begin an object."""
    return _Record()


def _encode(text: str, encoding: str) -> bytes:
    """How pickles of protocol 2 spell bytes."""
    return text.encode("latin1")


_KNOWN: dict[tuple[str, str], str | type | Callable] = {
    ("ilpyt.runners.runner", "Experiences"): _Record,
    ("ilpyt.runners.experiences", "Experiences"): _Record,
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): np.dtype,
    ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
    ("numpy.core.numeric", "_frombuffer"): _from_buffer,
    ("_codecs", "encode"): _encode,
    ("copy_reg", "_reconstructor"): _rebuild,
    ("__builtin__", "object"): "object",
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): torch._utils._rebuild_tensor_v2,
    ("torch.storage", "_load_from_bytes"): _load_storage,
}
