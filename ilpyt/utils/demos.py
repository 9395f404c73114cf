"""Demonstration files: reading them without trusting them, and writing them.

`.npz` is read with `allow_pickle=False`. Of a `.pkl`, arrays, tensors and `Experiences` are understood, and nothing
else: a pickle that asks for any other function is refused before anything runs. Neither can take more memory than its
file's length allows.
"""

import json
import pickle
import re
import warnings
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ilpyt.utils.checkpoint import DTYPES, atomic_write, rebuild_tensor
from ilpyt.utils.errors import DataError
from ilpyt.utils.untrusted import (
    Class,
    Function,
    Reader,
    RefusedError,
    Stateful,
    check_small,
    open_archive,
    product,
    run_pickle,
)

FIELDS = ("states", "actions", "rewards", "dones", "truncated")
INFLATION = 200  # times that an .npz file's content may be as large as the file; zeros deflate to a thousandth
SMALL = 2**26  # bytes that it may hold however small the file is


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
        what = "that is a folder" if path.is_dir() else "nothing is there"
        raise FileNotFoundError(f"there are no demonstrations at {path.absolute()}: {what}")
    try:
        with path.open("rb") as file:
            reader = Reader(file)
            if not reader.size:
                raise DataError(f"{path} is empty")
            record = _read_npz(reader) if zipfile.is_zipfile(path) else _read_pickle(reader)
    except DataError:
        raise
    except RefusedError as error:
        raise DataError(f"{path} is refused: {error}; nothing of it was run") from None
    except Exception as error:
        raise DataError(
            f"{path} is not a demonstration file, or a broken one ({str(error)[:500] or type(error).__name__})"
        ) from error
    missing = [name for name in FIELDS[:4] if record.get(name) is None]
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
            if _is_inflated(sum(array.nbytes for array in record.values()), file.tell()):
                file.seek(0)  # `read_demos` would take it for a bomb
                file.truncate()
                np.savez(file, **record)
    else:
        raise ValueError(f"demonstrations are written as .pkl or .npz, not as {path.name!r}")


def _plain(metadata: Any, source: str) -> dict[str, Any]:
    """The metadata, if it is a dict of what JSON can say, and no more of it than somebody would read."""
    try:
        if isinstance(metadata, dict):
            check_small(metadata)
            return json.loads(json.dumps(metadata))
        why = f"a {type(metadata).__name__}"
    except (TypeError, ValueError, RefusedError) as error:
        why = str(error)
    raise DataError(f"the metadata of {source} must be a dict of plain values (strings, numbers, lists): {why}")


def _is_inflated(size: int, file_size: int) -> bool:
    """Whether a file holds suspiciously more than its length, both in bytes."""
    return size > max(SMALL, INFLATION * file_size)


def _read_npz(reader: Reader) -> dict[str, Any]:
    archive = open_archive(reader, compressed=True)
    names = {f"{name}.npy": name for name in (*FIELDS, "metadata")}
    members = {names[member.filename]: member for member in archive.infolist() if member.filename in names}
    size = sum(member.file_size for member in members.values())
    if _is_inflated(size, reader.size):
        raise RefusedError(
            f"it would grow to {size:,} bytes, {size // reader.size} times its own length; if that's right, write it "
            "uncompressed, with numpy.savez"
        )
    record = {name: _read_array(archive, member) for name, member in members.items()}
    if "metadata" in record:
        record["metadata"] = json.loads(str(record["metadata"]))
    return record


def _read_array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    """A member, once its header is found to say how long it is."""
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        shape, _, dtype = read_header[version](file)
        size = dtype.itemsize * product(shape)
        if min(shape, default=0) < 0 or dtype.hasobject or size != member.file_size - file.tell():
            raise RefusedError(f"{member.filename} says it holds {dtype} {list(shape)}, which isn't its length")
    with archive.open(member) as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def _read_pickle(reader: Reader) -> dict[str, Any]:
    record = run_pickle(reader, _known())
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
    if array.dtype == np.bool_:
        return array.view(np.uint8) != 0
    return array.astype(array.dtype.newbyteorder("="), copy=False)


# What a pickle of demonstrations can lay hands on. Arrays are views of the bytes that the file holds: however often it
# refers to them, they take their memory once.


class _DType(Stateful):
    """A numeric dtype."""

    __slots__ = ("dtype",)

    def __init__(self, code: str, *_: Any) -> None:
        if not re.fullmatch(r"[<>|=]?[biuf]\d{1,2}", code):
            raise RefusedError(f"it has an array of {code!r}, not of numbers")
        self.dtype = np.dtype(code)

    def set_state(self, state: Any) -> None:
        self.dtype = self.dtype.newbyteorder(state[1])


class _Array(Stateful):
    """An array, once its state is set."""

    __slots__ = ("array",)

    def __init__(self, array: np.ndarray | None = None) -> None:
        self.array = array

    def set_state(self, state: Any) -> None:
        _, shape, dtype, is_fortran, content = state
        self.array = _view(content, dtype.dtype).reshape(shape, order="F" if is_fortran else "C")


class _Record(Stateful):
    """`Experiences` while a file is read: attributes, unchecked."""

    def set_state(self, state: Any) -> None:
        if not isinstance(state, dict):
            raise ValueError("the state of Experiences is not a dict")
        self.__dict__.update({name: value for name, value in state.items() if isinstance(name, str)})


class _Text:
    """Text that stands for bytes, each of which is encoded once."""

    def __init__(self) -> None:
        self._encoded: dict[int, tuple[str, bytes]] = {}

    def __call__(self, text: str, _: str = "latin1") -> bytes:
        if id(text) not in self._encoded:
            self._encoded[id(text)] = text, text.encode("latin1")
        return self._encoded[id(text)][1]


def _view(content: Any, dtype: np.dtype) -> np.ndarray:
    if not isinstance(content, bytes | bytearray):
        raise RefusedError(f"it has a {type(content).__name__} for the content of an array")
    return np.frombuffer(content, dtype)


def _read_storage(content: bytes) -> torch.Tensor:
    """The memory [K] of a tensor, as PyTorch wrote it before it wrote archives: four pickles, a list of one, a dump."""
    if not isinstance(content, bytes):
        raise RefusedError(f"it has a {type(content).__name__} for a tensor's memory")
    file = BytesIO(content)
    for _ in range(3):  # a number by which it is known, the format's version, the machine's byte order
        run_pickle(file, {})
    types = {("torch", name): dtype for name, dtype in DTYPES.items()}
    kind, dtype, key, _, count, *_ = run_pickle(file, types, persistent=lambda described: described)
    keys = run_pickle(file, {})
    if kind != "storage" or not isinstance(dtype, torch.dtype) or keys != [key]:
        raise RefusedError("it has a tensor whose memory is none")
    length = int.from_bytes(file.read(8), "little")
    if length != count or length * dtype.itemsize != len(content) - file.tell():
        raise RefusedError(f"it has a tensor said to hold {count} numbers, which isn't its length")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the memory can't be written to, and isn't
        kept = torch.uint8 if dtype == torch.bool else dtype
        return torch.frombuffer(content, dtype=kept, offset=file.tell()) if length else torch.empty(0, dtype=kept)


def _rebuild_tensor(*arguments: Any) -> _Array:
    return _Array(rebuild_tensor(*arguments).numpy())


def _from_buffer(content: Any, dtype: _DType, shape: tuple, order: str, axes: tuple | None = None) -> _Array:
    array = _view(content, dtype.dtype).reshape(shape, order="F" if order == "F" else "C")
    return _Array(array if axes is None else array.transpose(axes))


def _known() -> dict[tuple[str, str], Any]:
    """What a pickle finds under its names."""
    names = {
        ("ilpyt.runners.runner", "Experiences"): Class(_Record),
        ("ilpyt.runners.experiences", "Experiences"): Class(_Record),
        ("numpy", "ndarray"): "ndarray",  # an argument of _reconstruct
        ("numpy", "dtype"): Function(_DType),
        ("numpy.core.multiarray", "_reconstruct"): Function(lambda *_: _Array()),  # its data follow as state
        ("numpy.core.numeric", "_frombuffer"): Function(_from_buffer),
        ("torch._utils", "_rebuild_tensor_v2"): Function(_rebuild_tensor),
        ("torch.storage", "_load_from_bytes"): Function(_read_storage),
        ("collections", "OrderedDict"): Function(lambda *_: None),  # a tensor's hooks, of which there are none
        ("_codecs", "encode"): Function(_Text()),  # how protocol 2 spells bytes
        ("copy_reg", "_reconstructor"): Function(lambda *_: _Record()),  # how protocols 0 and 1 begin an object
        ("__builtin__", "object"): "object",  # an argument of _reconstructor
    }
    other_names = {"numpy.core": "numpy._core", "copy_reg": "copyreg", "__builtin__": "builtins"}
    for (module, name), value in list(names.items()):
        for old, new in other_names.items():
            names[module.replace(old, new), name] = value
    return names
