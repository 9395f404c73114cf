"""Puts Table 1 into the repository: results, the page with its figures, README's table, the model zoo."""

import json
import shutil
from pathlib import Path

from report import Cells, Result, matrix, median_seed, read, write_report

from ilpyt.presets import PAPER_ENVS, SETTINGS
from ilpyt.utils.checkpoint import atomic_write

ROOT = Path(__file__).parents[1]
MARKS = ("<!-- table1 -->", "<!-- /table1 -->")  # what lies between them in README.md is written here


def publish(out: Path) -> None:
    """Publish the results in a folder, if they are all of the table, with the same seeds in each cell.

    Raises:
        SystemExit: they aren't; nothing has changed.
    """
    cells = read(out)
    _check_complete(cells)
    readme = (ROOT / "README.md").read_text()
    if any(readme.count(mark) != 1 for mark in MARKS):
        raise SystemExit(f"README.md needs each of {MARKS} once, to know where its table goes")
    published = ROOT / "benchmarks" / "results" / "table1"
    shutil.rmtree(published, ignore_errors=True)
    if (out / "notes.md").exists():
        published.mkdir(parents=True)
        shutil.copy(out / "notes.md", published)
    for (algo, env_id), results in cells.items():
        for result in results:
            _write_json(published / algo / env_id / f"seed_{result['seed']}" / "result.json", result)
        if algo in SETTINGS:
            _write_agent(ROOT / "model_zoo" / algo / env_id, median_seed(results))
    before, after = readme.split(MARKS[0])[0], readme.split(MARKS[1])[1]
    with atomic_write(ROOT / "README.md") as file:
        file.write(f"{before}{MARKS[0]}\n{matrix(cells)}\n{MARKS[1]}{after}".encode())
    write_report(published, ROOT / "docs" / "table1.md")


def _check_complete(cells: Cells) -> None:
    wanted = [(algo, env_id) for algo in SETTINGS for env_id in PAPER_ENVS]
    if missing := [" on ".join(cell) for cell in wanted if cell not in cells]:
        raise SystemExit(f"these cells have no result: {', '.join(missing)}")
    seeds = {cell: [result["seed"] for result in cells[cell]] for cell in wanted}
    for cell in wanted:
        if seeds[cell] != seeds[wanted[0]]:
            raise SystemExit(f"{' on '.join(cell)} has seeds {seeds[cell]}, others have {seeds[wanted[0]]}")
        for result in cells[cell]:
            if not _last_weights(result):
                raise SystemExit(f"{result['folder']} has no weights; publish from the folder that was trained in")


def _last_weights(result: Result) -> list[Path]:
    """The files of weights, one for each network, with which a run has ended."""
    files = list(result["folder"].glob("*.pth"))
    last = max((int(file.stem.rpartition("_")[2]) for file in files), default=0)
    return [file for file in files if file.stem.endswith(f"_{last}")]


def _write_agent(target: Path, result: Result) -> None:
    """The weights of a run, and its result as their card, in the place of what was there."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    for file in _last_weights(result):
        shutil.copy(file, target)
    _write_json(target / "card.json", result)


def _write_json(path: Path, result: Result) -> None:
    """A line a key, so that a change can be read."""
    lines = (f" {json.dumps(key)}: {json.dumps(value)}" for key, value in result.items() if key != "folder")
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as file:
        file.write(("{\n" + ",\n".join(lines) + "\n}\n").encode())
