"""README and guides: every code block runs as it stands, in a folder like a clone's root."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.docs.guide import RUN, SHOWN, Block, blocks, is_listed

DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
LINKED = ("demos", "examples", "benchmarks", "model_zoo", "constraints.txt")  # what a clone's root has for readers
CI = ".ci/run does it, in an environment of its own"
RECORD = "takes a screen and hands; tests/recording/test_display.py has both"
TABLE1 = "takes up to an hour; tests/benchmarks/test_table1.py runs cells of it"

# Commands, and lines of Python blocks, that aren't run here; why, or what runs them.
NOT_RUN = {
    "pip install -c constraints.txt -e '.[box2d]' && python examples/example_bc.py": CI,
    "pip install -c constraints.txt -e '.[test]' && pytest -n 2": CI,
    "python -m venv .venv && . .venv/bin/activate": CI,
    "pip install -c constraints.txt -e '.[box2d,video]'": CI,
    "pytest -m long tests/faults": CI,
    "pytest -m long tests/faults --long": "takes an hour; for releases (make test-faults)",
    "pip install -c constraints.txt -e '.[box2d,cli,video,plot]'": CI,
    "ilpyt record CartPole-v0 --episodes 3 --out by_hand.npz": RECORD,
    "python benchmarks/table1.py": TABLE1,
    "python benchmarks/table1.py --seeds 0 1 2": TABLE1,
    "python benchmarks/table1.py --report": "writes to the repository; tests/benchmarks/test_report.py",
}


def name_of(document: Path) -> str:
    """A document's path in the repository."""
    return document.relative_to(ROOT).as_posix()


def reason_to_fail(block: Block) -> str | None:
    """Why a block is neither run nor known to be for the eye only; None if it is."""
    if block.language not in (*RUN, *SHOWN):
        return f"is {block.language or 'of no language'}; say one of {', '.join((*RUN, *SHOWN))}"
    if block.setup and block.language not in RUN:
        return "has a setup, but isn't run"
    return None


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_block_is_run_or_known_not_to_be(document):
    fences = document.read_text().count("```")
    found = list(blocks(document))
    assert fences == 2 * len(found), "some block isn't found: it isn't closed, or holds another"
    assert document.read_text().count("<!-- setup") == sum(bool(block.setup) for block in found)
    assert [f"line {block.line}: {reason}" for block in found if (reason := reason_to_fail(block))] == []


def test_what_is_not_run_is_there():
    every = [block for document in DOCUMENTS for block in blocks(document)]
    commands = {command for block in every if block.language == "bash" for command in block.commands()}
    python = [block for block in every if block.language == "python"]
    gone = [line for line in NOT_RUN if line not in commands and not any(is_listed(block, [line]) for block in python)]
    assert gone == []


def tables(document):
    """The tables of a document: a list of rows each, dicts by the header's cells."""
    found = []
    for table in re.findall(r"(?:^\|.*\n)+", document.read_text(), re.M):
        header, _, *rows = ([cell.strip(" *`") for cell in line.strip("|").split("|")] for line in table.splitlines())
        found.append([dict(zip(header, row, strict=True)) for row in rows])
    return found


def test_the_numbers_for_choosing_are_those_of_table_1():
    scores, algorithms, cells = tables(ROOT / "docs/table1.md")[:3]
    (shown,) = (table for table in tables(ROOT / "docs/choosing.md") if "solved at" in table[0])
    (costs,) = (table for table in tables(ROOT / "docs/choosing.md") if "seconds" in table[0])
    assert len(shown) == len(scores) == 5
    for own, row in zip(shown, scores, strict=True):
        assert own == {name: row[name].partition("*")[0] for name in own}
    minutes = {row["algorithm"]: row["minutes of training, a seed"] for row in algorithms}
    lander = {row["algorithm"]: row for row in cells if row["environment"] == "LunarLander-v2"}
    assert [row[""] for row in costs] == list(minutes)
    for row in costs:
        cell = lander[row[""]]
        expected = (cell["env steps"], cell["seconds"], minutes[row[""]])
        assert (row["env steps"], row["seconds"], row["minutes for five environments"]) == expected


GUIDE = """
<!-- setup
base = 40
-->

```python
def answer():
    return base + 2


def test_answer():
    assert answer() == 42
```

<!-- file: said.py -->

```python
print("said in a file")
```

```bash
python said.py  # a comment
exit 3
echo said \\
  at the end
```
"""


def run_guide(folder, text, *listed):
    (folder / "guide.md").write_text(text)
    command = [sys.executable, ROOT / "tests/docs/guide.py", folder / "guide.md", *listed]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)


def test_a_guide_is_run_in_order_but_for_what_is_listed(tmp_path):
    done = run_guide(tmp_path, GUIDE, "exit 3")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "$ python said.py\nsaid in a file\n$ echo said at the end\nsaid at the end\n"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (GUIDE, "returned non-zero exit status 3"),
        (GUIDE.replace("base + 2", "base + 3"), "line 12, in test_answer"),
        (GUIDE.replace("base = 40", "base = forty"), "<setup before guide.md:7>"),
    ],
)
def test_what_fails_in_a_guide_is_named(text, error, tmp_path):
    done = run_guide(tmp_path, text)
    assert done.returncode == 1
    assert error in done.stderr


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_block_runs(document, tmp_path, seconds):
    for name in LINKED:
        (tmp_path / name).symlink_to(ROOT / name)
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, ROOT / "tests/docs/guide.py", document, *NOT_RUN],
        cwd=tmp_path,
        env={**os.environ, "MINARI_DATASETS_PATH": str(tmp_path / "minari")},  # not among the user's own
        capture_output=True,
        text=True,
        timeout=850,
    )
    seconds[name_of(document)] = time.perf_counter() - start
    print(done.stdout)
    assert done.returncode == 0, done.stderr[-3000:]
