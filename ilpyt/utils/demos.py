"""Demonstration files: reading them without trusting them, and writing them.

`.npz` is read with `allow_pickle=False`. `.pkl` is read by an unpickler that knows arrays, tensors and `Experiences`,
and nothing else: a pickle that asks for any other function is refused before anything runs.
"""

import io
import json
import pickle
import re
import zipfile
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
    demos["metadata"] = _plain(record.get("metadata") or {}, str(path))
    return demos


def write_demos(path: str | Path, experiences: Any) -> None:
    """Write `Experiences` as `.npz` (compressed) or `.pkl`, by the path's suffix; whole or not at all."""
    path = Path(path)
    _plain(experiences.metadata, "these Experiences")
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


def _plain(metadata: Any, source: str) -> dict[str, Any]:
    """The metadata, if it is a dict of what JSON can say."""
    try:
        if isinstance(metadata, dict):
            return json.loads(json.dumps(metadata))
        why = f"a {type(metadata).__name__}"
    except (TypeError, ValueError) as error:
        why = str(error)
    raise DataError(f"the metadata of {source} must be a dict of plain values (strings, numbers, lists): {why}")


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
    array = value.array if isinstance(value, _Array) else value
    if not isinstance(array, np.ndarray):  # numpy would ask anything else for its data's address, and believe it
        raise DataError(f"{what} is a {type(array).__name__}, not an array")
    if array.dtype.kind not in "biuf":
        raise DataError(f"{what} holds {array.dtype}, not numbers")
    return array


# A pickle is a program: it looks names up, calls what it finds, and sets the state of what it has. Everything that it
# can lay hands on here is therefore a stand-in that does one harmless thing, never an object of Python, numpy or torch.


class _RefusedError(Exception):
    """A pickle asked for something that demonstrations don't need."""


class _Sealed:
    """Has no state that a pickle could set."""

    __slots__ = ()

    def __setstate__(self, state: Any) -> None:
        raise _RefusedError(f"it sets the state of a {type(self).__name__.strip('_')}")


class _Function(_Sealed):
    """A function that a pickle may call."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable) -> None:
        self._function = function

    def __call__(self, *args: Any) -> Any:
        return self._function(*args)


class _Storage(_Sealed):
    """The memory of a tensor."""

    __slots__ = ("storage",)

    def __init__(self, content: bytes) -> None:
        self.storage = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)


class _DType(_Sealed):
    """A numeric dtype."""

    __slots__ = ("dtype",)

    def __init__(self, code: str, *_: Any) -> None:
        if not re.fullmatch(r"[<>|=]?[biuf]\d{1,2}", code):
            raise _RefusedError(f"it has an array of {code!r}, not of numbers")
        self.dtype = np.dtype(code)

    def __setstate__(self, state: Any) -> None:
        self.dtype = self.dtype.newbyteorder(state[1])


class _Array(_Sealed):
    """An array, once its state is set."""

    __slots__ = ("array",)

    def __init__(self, array: np.ndarray | None = None) -> None:
        self.array = array

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, is_fortran, content = state
        self.array = np.frombuffer(bytearray(content), dtype.dtype).reshape(shape, order="F" if is_fortran else "C")


class _Record:
    """`Experiences` while a file is read: attributes, unchecked."""

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, dict):
            raise ValueError("the state of Experiences is not a dict")
        self.__dict__.update({str(k): v for k, v in state.items()})


def _rebuild_tensor(storage: _Storage, offset: int, size: tuple, stride: tuple, *_: Any) -> _Array:
    tensor = torch._utils._rebuild_tensor_v2(storage.storage, offset, size, stride, False, None)
    return _Array(tensor.detach().numpy())


def _from_buffer(buffer: Any, dtype: _DType, shape: tuple[int, ...], order: str) -> _Array:
    return _Array(np.frombuffer(bytearray(buffer), dtype.dtype).reshape(shape, order="F" if order == "F" else "C"))


_KNOWN: dict[tuple[str, str], Any] = {
    ("ilpyt.runners.runner", "Experiences"): _Record,
    ("ilpyt.runners.experiences", "Experiences"): _Record,
    ("numpy", "ndarray"): "ndarray",  # an argument of _reconstruct
    ("numpy", "dtype"): _Function(_DType),
    ("numpy.core.multiarray", "_reconstruct"): _Function(lambda *_: _Array()),  # its data follow as state
    ("numpy.core.numeric", "_frombuffer"): _Function(_from_buffer),
    ("torch._utils", "_rebuild_tensor_v2"): _Function(_rebuild_tensor),
    ("torch.storage", "_load_from_bytes"): _Function(_Storage),
    ("collections", "OrderedDict"): _Function(lambda *_: None),  # a tensor's hooks, of which there are none
    ("_codecs", "encode"): _Function(lambda text, _: text.encode("latin1")),  # how protocol 2 spells bytes
    ("copy_reg", "_reconstructor"): _Function(lambda *_: _Record()),  # how protocols 0 and 1 begin an object
    ("__builtin__", "object"): "object",  # an argument of _reconstructor
}


class _Unpickler(pickle.Unpickler):
    """Finds what a pickle of `Experiences` needs, and nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        module = module.replace("numpy._core", "numpy.core")
        module = {"copyreg": "copy_reg", "builtins": "__builtin__"}.get(module, module)
        try:
            return _KNOWN[module, name]
        except KeyError:
            raise _RefusedError(f"it asks for {module}.{name}, which demonstrations don't need") from None
