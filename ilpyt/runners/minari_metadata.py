"""What a Minari dataset says of itself, looked at before Minari does: it may be a stranger's."""

import json
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ilpyt.utils.untrusted import RefusedError, check_small

MAX_BYTES = 2**24  # of a metadata.json; bounds of an image's pixels take a megabyte
MAX_COUNT = 10**9  # of steps; Minari counts the episodes up in memory
MAX_EPISODES = 10**7


def check_metadata(path: Path) -> None:
    """Refuse a dataset that Minari would run code for, or take all memory.

    For a space that isn't stated, Minari makes the environment of the dataset, which imports whatever module it names.

    Args:
        path: its `metadata.json`.

    Raises:
        RefusedError: it states not both spaces, or has what no dataset of Minari's has.
        OSError, ValueError, RecursionError: it can't be read, or isn't JSON.
    """
    metadata = _read(path)
    for name in ("observation_space", "action_space"):
        if not isinstance(metadata.get(name), str):
            raise RefusedError(f"its {path.name} doesn't state the {name}; Minari would run code to find out")
    for name, most in (("total_episodes", MAX_EPISODES), ("total_steps", MAX_COUNT)):
        count = metadata.get(name)
        if type(count) is not int or not 0 <= count <= most:
            raise RefusedError(f"its {name} is {count!r:.40}")
    if metadata.get("data_format") != "hdf5" and _pyarrow_runs_code():
        raise RefusedError("PyArrow before 14.0.1 runs code that a file brings: pip install -U pyarrow")


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():  # a pipe never ends
        raise RefusedError(f"its {path.name} is no file")
    with open(path, "rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise RefusedError(f"its {path.name} is larger than {MAX_BYTES:,} bytes")
    metadata = json.loads(content.decode())
    if not isinstance(metadata, dict):
        raise RefusedError(f"its {path.name} isn't a description but a {type(metadata).__name__}")
    check_small(metadata)
    return metadata


def _pyarrow_runs_code() -> bool:
    """Whether what Minari reads other formats than HDF5 with has CVE-2023-47248."""
    try:
        numbers = [int(number) for number in version("pyarrow").split(".")[:3]]
    except (PackageNotFoundError, ValueError):  # not there, or built by hand
        return False
    return numbers < [14, 0, 1]
