"""`RunFolder`: what an experiment leaves on the disk, beside the weights that its agent writes."""

import json
import logging
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ilpyt.utils.checkpoint import atomic_write, load_state, save_state
from ilpyt.utils.errors import DataError, SaveError
from ilpyt.utils.untrusted import RefusedError, check_small

log = logging.getLogger(__name__)

TEST_RESULTS = "test_results.npy"
CHECKPOINT = "checkpoint.pt"  # all that resuming needs
CONFIG = "config.json"
RUN_FILES = ("*_[0-9]*.pth", CHECKPOINT, "progress.csv", "events.out.tfevents.*", CONFIG, TEST_RESULTS)


class RunFolder:
    """The folder of a run."""

    def __init__(self, path: Path) -> None:
        """Make the folder if it isn't there.

        Raises:
            SaveError: it can't be written to.
        """
        self.path = path
        try:
            path.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=path):
                pass
        except OSError as error:
            raise SaveError(f"save_path {str(path)!r} can't be written to: {error.strerror or error}") from error

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Inside, no other training can write here; what a killed one has left half-written is removed.

        Raises:
            SaveError: another training does.
        """
        if os.name != "posix":
            yield
            return
        import fcntl

        fd = os.open(self.path, os.O_RDONLY)
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise SaveError(
                    f"another training is writing to {self.path.absolute()}; give this one a save_path of its own"
                ) from None
            except OSError as error:  # some network file systems have no locks
                log.warning("%s can't be locked (%s); see to it that one training writes there.", self.path, error)
            for pattern in set(RUN_FILES) - {TEST_RESULTS}:  # which can be written at any time
                for file in self.path.glob(f".{pattern}.*.tmp"):
                    file.unlink()
            yield
        finally:
            os.close(fd)

    def move_aside(self, *patterns: str) -> Path | None:
        """Make room where a former run left files; where they are now."""
        former = [file for pattern in patterns for file in self.path.glob(pattern)]
        if not former:
            return None
        number = 1
        while (self.path / f"previous_{number}").exists():
            number += 1
        folder = self.path / f"previous_{number}"
        folder.mkdir()
        for file in former:
            file.rename(folder / file.name)
        return folder

    def write_config(self, config: Mapping[str, Any]) -> None:
        """Write `config.json`."""
        with atomic_write(self.path / CONFIG) as file:
            file.write(json.dumps(config, indent=2).encode())

    def write_checkpoint(self, identity: Mapping[str, Any], content: Mapping[str, Any]) -> None:
        """Write `checkpoint.pt`.

        Args:
            identity: what it is of; only what has the same goes on from it.
            content: nested dicts of tensors and plain values.
        """
        save_state(self.path / CHECKPOINT, {"identity": identity, **content})

    def read_checkpoint(self, identity: Mapping[str, Any]) -> dict[str, Any]:
        """What `write_checkpoint` wrote, on the CPU.

        Raises:
            FileNotFoundError: there is none.
            DataError: it is broken, or of something else.
        """
        path = self.path / CHECKPOINT
        if not path.is_file():
            raise FileNotFoundError(
                f"there is nothing to resume: {path.absolute()} isn't there; leave out resume (--resume)"
            )
        checkpoint = load_state(path)
        its, config = checkpoint.get("identity"), checkpoint.get("config")
        try:
            check_small([its, config])
        except RefusedError as error:
            raise DataError(f"{path} is refused: {error}") from None
        if not isinstance(its, dict) or not isinstance(config, dict):
            raise DataError(f"{path} doesn't say what it is a checkpoint of")
        for what, own in identity.items():
            differing = differences(its.get(what), own)
            if differing:
                raise DataError(f"{path} is of another {what}: {', '.join(differing)[:500]}")
        return checkpoint


def read_config(path: str | Path) -> dict[str, Any]:
    """The `config.json` that a run has written.

    Args:
        path: the file, or the run's folder.

    Raises:
        FileNotFoundError: it isn't there.
        DataError: it isn't what a run writes.
    """
    path = Path(path)
    file = path / CONFIG if path.is_dir() else path
    if not file.is_file():
        there = "; a training that has begun writes one" if path.is_dir() else ""
        raise FileNotFoundError(f"there is no {file.absolute()}{there}")
    try:
        config = json.loads(file.read_text())
        check_small(config)
    except (ValueError, RecursionError, RefusedError) as error:
        raise DataError(f"{file} is broken, or not the {CONFIG} of a run: {str(error)[:200]}") from None
    kinds = {"algorithm": str, "agent": dict, "nets": dict, "env": dict, "train": dict, "versions": dict}
    wrong = [name for name, kind in kinds.items() if not isinstance(config, dict) or type(config.get(name)) is not kind]
    if wrong:
        raise DataError(f"{file} isn't the {CONFIG} of a run: it doesn't say {', '.join(wrong)}")
    if "recipe" in config:
        _check_recipe(config["recipe"], file)
    return dict(config)


def _check_recipe(recipe: Any, file: Path) -> None:
    """How a run was made has to be said in these words; what they say is looked at by whoever follows it."""
    kinds = {"algorithm": str, "env_id": str, "seed": int, "env": dict, "net": dict, "agent": dict}
    if not isinstance(recipe, dict):
        raise DataError(f"{file}: its recipe is {str(recipe)[:50]!r}; it must be {', '.join(kinds)}")
    for name, kind in {**kinds, **{n: dict for n in ("train", "initialize") if n in recipe}}.items():
        if type(recipe.get(name)) is not kind:
            given = repr(recipe[name])[:50] if name in recipe else "not there"
            raise DataError(f"{file}: {name} of its recipe is {given}; it must be of type {kind.__name__}")


def differences(its: Any, own: Any, name: str = "") -> list[str]:
    """In words, what two values differ in; nested dicts by key."""
    if not isinstance(its, dict) or not isinstance(own, dict):
        return [] if repr(its) == repr(own) else [f"{name + ' ' if name else ''}{its}, not {own}"]
    keys = sorted({*its, *own}, key=str)
    parts = [differences(its.get(key), own.get(key), f"{name}.{key}" if name else str(key)) for key in keys]
    return [text for part in parts for text in part]
