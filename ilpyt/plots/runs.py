"""What runs have logged, read back from their folders."""

import csv
import io
import json
import logging
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ilpyt.plots.curves import Curve, running_mean
from ilpyt.utils.errors import DataError

log = logging.getLogger(__name__)

TABLE, CONFIG = "progress.csv", "config.json"
AXES = ("step", "seconds")  # the columns that say when
EPOCHS, ENV_STEPS = "epochs", "env steps"
OWN = ("BC", "DAgger", "GAIL", "GCL", "AppL", "DQN", "A2C", "PPO")


@dataclass(frozen=True)
class Run:
    """What a run has logged.

    Attributes:
        folder: where it lies.
        algorithm: the name of its class, such as 'GAIL'.
        env_id: of its environment.
        columns: of its `progress.csv` by name, float64 [rows] each; nan where a row says nothing. `seconds` go on
            where a second call of `train` counted from 0 again.
        config: its `config.json`.
    """

    folder: Path
    algorithm: str
    env_id: str
    columns: dict[str, np.ndarray]
    config: dict[str, Any]

    @property
    def unit(self) -> str:
        """What its steps are: BC counts epochs, ilpyt's other algorithms env steps, one of your own may do as it likes.

        Whatever logs `episodes` follows env steps, as `Monitor` does.
        """
        if self.algorithm == "BC":
            return EPOCHS
        if self.algorithm in OWN or "episodes" in self.columns:
            return ENV_STEPS
        return f"steps as {self.algorithm} counts them"

    @cached_property
    def metrics(self) -> list[str]:
        """The metrics that it has at least one number of."""
        return [name for name, column in self.columns.items() if name not in AXES and np.isfinite(column).any()]

    def curve(self, metric: str, axis: str, smooth: int = 1) -> Curve:
        """A metric over 'step' or 'seconds', where there are finite numbers; of rows at the same x, the last.

        Args:
            metric: its column.
            axis: the column of x.
            smooth: rows of a running mean, of a row and those before it; in the first rows there are fewer.
        """
        x, y = self.columns[axis], self.columns[metric]
        known = np.isfinite(x) & np.isfinite(y)
        x, from_end = np.unique(x[known][::-1], return_index=True)
        return x, running_mean(y[known][::-1][from_end], smooth)


def read_runs(paths: Iterable[str | Path]) -> list[Run]:
    """The runs in folders; what can't be read is left out, with a warning that says why.

    Args:
        paths: folders of runs, and folders that hold such at any depth. What ilpyt has moved into `previous_1`, ...
            counts only if it is named itself.

    Raises:
        FileNotFoundError: one of them isn't there.
        DataError: there is no run that can be read.
    """
    folders: dict[Path, Path] = {}
    runs, failures = [], []
    for path in map(Path, paths):
        if not path.exists():
            raise FileNotFoundError(f"{path} is not there")
        found = {folder.resolve(): folder for folder in _find(path)}
        if path.is_file():
            failures.append(f"{path} is a file; name the folder it lies in")
        elif not found:
            failures.append(f"{path} holds no run: neither it nor a folder in it has a {TABLE} or {CONFIG}")
        folders |= found
    for folder in folders.values():
        try:
            runs.append(read_run(folder))
        except DataError as error:
            failures.append(str(error))
    if not runs:
        more = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
        raise DataError("there is no run to draw: " + (failures[0] + more if failures else "no folder was named"))
    for failure in failures:
        log.warning("left out: %s", failure)
    return runs


def read_run(folder: Path) -> Run:
    """What a run has logged, as far as it is.

    Raises:
        DataError: it hasn't logged anything yet, or its files are broken.
    """
    config = _read_config(folder / CONFIG)
    try:
        algorithm, env_id = str(config["algorithm"]), str(config["env"]["env_id"])
    except (KeyError, TypeError):
        raise DataError(f"{folder / CONFIG} doesn't say 'algorithm' and 'env.env_id'") from None
    return Run(folder, algorithm, env_id, _read_table(folder / TABLE), config)


def _find(path: Path) -> Iterator[Path]:
    """The folders with a run's files, in the order of their names."""
    for folder, subfolders, files in os.walk(path):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith(("previous_", ".")))
        if TABLE in files or CONFIG in files:
            yield Path(folder)


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config = json.loads(_read_text(path))
    except ValueError as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path} isn't JSON: {error}") from None
    if not isinstance(config, dict):
        raise DataError(f"{path} isn't a run's: it holds a {type(config).__name__}")
    return config


def _read_table(path: Path) -> dict[str, np.ndarray]:
    """The columns, without a last row that is being written, or that a full disk or a crash has cut off."""
    text = _read_text(path)
    lines = text.splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines.pop()
    rows = list(csv.reader(io.StringIO("".join(lines), newline="")))
    names = rows[0] if rows else []
    if not text.strip():
        raise DataError(f"{path} is empty")
    if missing := [name for name in AXES if name not in names]:
        raise DataError(f"{path} has no column {' and no '.join(map(repr, missing))}")
    try:
        numbers = [[float(cell or "nan") for cell in row] for row in rows[1:] if len(row) == len(names)]
    except ValueError as error:
        raise DataError(f"{path} isn't a table of numbers: {error}") from None
    if not numbers:
        raise DataError(f"{path} has no rows yet")
    columns = dict(zip(names, np.array(numbers).T, strict=True))
    columns["seconds"] = _go_on(columns["seconds"])
    return columns


def _go_on(seconds: np.ndarray) -> np.ndarray:
    """Seconds that only grow: where they fall, counting began again, and goes on from the row before."""
    began_again = np.concatenate([[False], np.diff(seconds) < 0])
    return seconds + np.cumsum(np.where(began_again, np.roll(seconds, 1), 0.0))


def _read_text(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:
        raise DataError(f"{path.parent} has no {path.name}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} can't be read: {error}") from None
