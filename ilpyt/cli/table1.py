"""`ilpyt table1`."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "table1.py"  # of the repository


def table1() -> None:
    """Train, test and report the paper's Table 1, or some of it; `ilpyt table1 --help` lists its own flags."""
    main([])


def main(arguments: Sequence[str]) -> None:
    """Run the repository's `benchmarks/table1.py`.

    Raises:
        FileNotFoundError: it isn't there: ilpyt was installed without its repository.
    """
    if not SCRIPT.is_file():
        raise FileNotFoundError(
            f"there is no {SCRIPT}: Table 1 is made in a clone of the repository, installed by `pip install -e .`"
        )
    raise SystemExit(subprocess.run([sys.executable, SCRIPT, *arguments]).returncode)
