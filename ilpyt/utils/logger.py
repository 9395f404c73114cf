"""Where metrics go: sinks with a `write` and a `close`, and a `Logger` that feeds them all."""

import abc
import csv
import io
import math
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from ilpyt.utils.checkpoint import atomic_write
from ilpyt.utils.errors import SaveError
from ilpyt.utils.extras import require

Metrics = Mapping[str, float]


class Sink(abc.ABC):
    """A place that metrics are written to. Extend it by `write`, and by what else it can take.

    Every `train` calls `describe` first and `close` last: what is opened in the one can be closed in the other.
    """

    def describe(self, config: Mapping[str, Any]) -> None:
        """Training begins, or goes on; `config` is what its `config.json` says."""
        return

    @abc.abstractmethod
    def write(self, step: int, metrics: Metrics) -> None:
        """Record metrics at a step; the algorithm says what a step is (an epoch, an env step)."""

    def show(self, step: int, frames: Sequence[np.ndarray], fps: int) -> None:
        """Record a video at a step: frames uint8 [H, W, 3], and how many of them make a second."""
        return

    def close(self) -> None:
        """Training has ended; if there will be another, `describe` comes first."""
        return


class CSVSink(Sink):
    """One row a `write` in a CSV file; each is on its way to the disk when `write` returns."""

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._columns: list[str] = []

    def write(self, step: int, metrics: Metrics) -> None:
        """Append a row; a metric that wasn't there before gets a new column, empty above."""
        row = {"step": step, **metrics}
        unknown = [name for name in row if name not in self._columns]
        if unknown:
            self._add_columns(unknown)
        with open(self._path, "a", newline="") as file:
            csv.DictWriter(file, self._columns).writerow(row)

    def rewind(self, step: int) -> None:
        """Remove the rows after a step, which a run that goes on from there will write again."""
        if self._path.exists():
            self._write([row for row in self._read() if int(row["step"]) <= step])

    def _add_columns(self, names: list[str]) -> None:
        rows = self._read()
        self._columns += [name for name in names if name not in self._columns]
        self._write(rows)

    def _read(self) -> list[dict[str, Any]]:
        """The rows that are there; takes over their columns. One that a full disk has cut off is left out."""
        if not self._path.exists():
            return []
        with open(self._path, newline="") as file:
            reader = csv.DictReader(file)
            rows = [row for row in reader if None not in row.values() and None not in row]
            self._columns = list(reader.fieldnames or [])
        return rows

    def _write(self, rows: list[dict[str, Any]]) -> None:
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, self._columns)
        writer.writeheader()
        writer.writerows(rows)
        with atomic_write(self._path) as file:
            file.write(text.getvalue().encode())


class TensorBoardSink(Sink):
    """Scalars in a TensorBoard event file."""

    def __init__(self, folder: str | Path, purge_step: int | None = None) -> None:
        """`purge_step`: what earlier files say of this step and later ones no longer counts."""
        from torch.utils.tensorboard import SummaryWriter  # slow to import, and not every process trains

        self._writer: Any = SummaryWriter(str(folder), purge_step=purge_step)

    def describe(self, config: Mapping[str, Any]) -> None:
        """Record the hyper-parameters, for the tab 'HPARAMS', where runs are compared by what came of them."""
        from torch.utils.tensorboard.summary import hparams

        described = {name: config.get(name, {}) for name in ("algorithm", "env", "agent", "train")}
        metrics = dict.fromkeys(("evaluation/return", "episode/return", "validation_loss"), 0.0)
        for summary in hparams(dict(flat(described)), metrics):
            self._writer.file_writer.add_summary(summary)

    def show(self, step: int, frames: Sequence[np.ndarray], fps: int) -> None:
        """Record an animation, for the tab 'IMAGES'."""
        from tensorboard.compat.proto.summary_pb2 import Summary

        height, width, colors = frames[0].shape
        image = Summary.Image(height=height, width=width, colorspace=colors, encoded_image_string=as_gif(frames, fps))
        self._writer.file_writer.add_summary(Summary(value=[Summary.Value(tag="video", image=image)]), step)

    def write(self, step: int, metrics: Metrics) -> None:
        """Record each metric as a scalar, where there is something to report."""
        for name, value in metrics.items():
            if not math.isnan(value):
                self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Flush and close the event file."""
        self._writer.close()


class WandbSink(Sink):
    """A run of Weights & Biases: `PPO(env=env, sinks=[WandbSink(project="landers")])`."""

    def __init__(self, **init: Any) -> None:
        """Take the keywords of `wandb.init`, such as `project`, `name`, or `mode='offline'`; nothing is begun yet.

        To go on with a run in another process, give its `id` and `resume='allow'`.

        Raises:
            MissingExtraError: wandb isn't installed.
        """
        self._wandb = require("wandb", "wandb")
        self._init = init
        self._run: Any = None

    def describe(self, config: Mapping[str, Any]) -> None:
        """Begin a run, or go on with the one that was closed.

        Raises:
            SaveError: Weights & Biases refuses, for instance without an account.
        """
        try:
            self._run = self._wandb.init(config=dict(config), **self._init)
        except self._wandb.errors.Error as error:
            raise SaveError(f"Weights & Biases can't begin a run: {error}; mode='offline' needs no account") from error
        self._init = {**self._init, "id": self._run.id, "resume": "allow"}

    def write(self, step: int, metrics: Metrics) -> None:
        """Record what is a number."""
        self._run.log({name: value for name, value in metrics.items() if not math.isnan(value)}, step=step)

    def show(self, step: int, frames: Sequence[np.ndarray], fps: int) -> None:
        """Record an animation."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "video.gif"
            file.write_bytes(as_gif(frames, fps))
            self._run.log({"video": self._wandb.Video(str(file), format="gif")}, step=step)

    def close(self) -> None:
        """End the run."""
        if self._run is not None:
            self._run.finish()
            self._run = None


class Progress(Sink):
    """A progress bar with the latest metrics; on a terminal it moves, in a log file it prints a line now and then."""

    def __init__(self, total: int, unit: str, enabled: bool = True) -> None:
        self._bar = tqdm(
            total=total,
            unit=unit,
            disable=not enabled,
            mininterval=0.2 if sys.stderr.isatty() else 10,
            dynamic_ncols=sys.stderr.isatty(),
        )

    def advance(self, steps: int) -> None:
        """Move the bar on."""
        self._bar.update(steps)

    def write(self, step: int, metrics: Metrics) -> None:
        """Show losses, errors and returns beside the bar."""
        shown = {name: f"{value:.4g}" for name, value in metrics.items() if name.endswith(("loss", "error", "return"))}
        self._bar.set_postfix(shown, refresh=False)

    def close(self) -> None:
        """Leave the bar as it is."""
        self._bar.close()


class Logger:
    """Feeds metrics to several sinks, with the seconds since it was made (and those before, of a run that goes on)."""

    def __init__(self, sinks: Iterable[Sink], seconds: float = 0.0) -> None:
        self.sinks = list(sinks)
        self._start = time.perf_counter() - seconds

    @property
    def seconds(self) -> float:
        """Since it was made, and what was counted before."""
        return time.perf_counter() - self._start

    def write(self, step: int, metrics: Metrics) -> None:
        """Record metrics at a step.

        Raises:
            SaveError: a sink can't write.
        """
        metrics = {**metrics, "seconds": self.seconds}
        self._tell(lambda sink: sink.write(step, metrics))

    def describe(self, config: Mapping[str, Any]) -> None:
        """Tell all sinks what is trained.

        Raises:
            SaveError: a sink can't write.
        """
        self._tell(lambda sink: sink.describe(config))

    def show(self, step: int, frames: Sequence[np.ndarray], fps: int) -> None:
        """Record a video at a step; see `Sink.show`.

        Raises:
            SaveError: a sink can't write.
        """
        self._tell(lambda sink: sink.show(step, frames, fps))

    def _tell(self, call: Callable[[Sink], None]) -> None:
        for sink in self.sinks:
            try:
                call(sink)
            except SaveError:
                raise
            except OSError as error:
                raise SaveError(f"{type(sink).__name__} can't write the log: {error.strerror or error}") from error

    def close(self) -> None:
        """Close all sinks.

        Raises:
            SaveError: one couldn't write what it still had; the others are closed all the same.
        """
        failure: SaveError | None = None
        for sink in self.sinks:
            try:
                sink.close()
            except OSError as error:
                failure = SaveError(f"{type(sink).__name__} can't write the log: {error.strerror or error}")
        if failure is not None:
            raise failure


def flat(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The values of nested dicts by their names, `{"a": {"b": 1}}` as ("a.b", 1); as text unless they are numbers."""
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value if isinstance(value, bool | int | float) else str(value)


def as_gif(frames: Sequence[np.ndarray], fps: int) -> bytes:
    """An animation of frames uint8 [H, W, 3], of which there is one at least."""
    from PIL import Image  # most processes draw nothing

    first, *others = (Image.fromarray(frame) for frame in frames)
    file = io.BytesIO()
    first.save(file, "gif", save_all=True, append_images=others, duration=1000 / fps, loop=0)
    return file.getvalue()


def say(text: str) -> None:
    """Print a line for the user to stderr, around whatever progress bar is there."""
    tqdm.write(text, file=sys.stderr)
