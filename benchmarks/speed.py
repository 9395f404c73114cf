"""Speed, as ratios against what users would otherwise run.

    python benchmarks/speed.py            # all claims
    python benchmarks/speed.py vecenv bc  # some

Own code and peer are run in turns (A B A B ...), many and short, so that whatever else the machine is doing hits both;
a claim is the ratio of the medians, with the quartiles of the ratios of neighbouring turns beside it. `make bench-env`
makes the peers' environments. Results are printed, and kept in `benchmarks/results/speed.json` and, as a table,
`speed.md`; claims that aren't measured this time stay there as they were.
"""

import argparse
import dataclasses
import datetime
import json
import logging
import os
import platform
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from claims import bc, envs, growth, imports, training
from claims.measure import HEADER, Row

from ilpyt.utils.checkpoint import atomic_write
from ilpyt.utils.versions import package_versions

RESULTS = Path(__file__).parent / "results"
CLAIMS: dict[str, Callable[[int, float], Iterator[Row]]] = {
    "vecenv": envs.vecenv,
    "rollout": envs.rollout,
    "bc": bc.updates,
    "bc-score": bc.score,
    "imports": imports.imports,
    "rl": training.rl,
    "solve": training.solve,
    "gail": training.gail,
    "growth": growth.growth,
}


def main() -> None:
    """Measure the claims that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("claims", nargs="*", default=["all"], help=f"any of {', '.join(CLAIMS)}, or all")
    parser.add_argument("--turns", type=int, default=50, help="turns of each side; those that take long are fewer")
    parser.add_argument("--seconds", type=float, default=0.1, help="length of a turn that isn't a whole training")
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    names = list(CLAIMS) if "all" in args.claims else args.claims
    if unknown := set(names) - set(CLAIMS):
        parser.error(f"unknown claims: {', '.join(unknown)}; there are {', '.join(CLAIMS)}")
    print(HEADER)
    for name in names:
        for row in CLAIMS[name](args.turns, args.seconds):
            keep(name, row)


def keep(name: str, row: Row) -> None:
    """Write what was measured in the place of what was known of it."""
    file = RESULTS / "speed.json"
    known: list[dict[str, Any]] = json.loads(file.read_text()) if file.exists() else []
    new = {
        "subcommand": name,
        **dataclasses.asdict(row),
        "date": datetime.date.today().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "versions": package_versions(),
    }
    places = [i for i, old in enumerate(known) if (old["subcommand"], old["claim"]) == (name, row.claim)]
    if places:
        known[places[0]] = new
    else:
        known.append(new)
    known.sort(key=lambda row: list(CLAIMS).index(row["subcommand"]))
    RESULTS.mkdir(exist_ok=True)
    with atomic_write(file) as content:
        content.write(json.dumps(known, indent=1).encode())
    names = [field.name for field in dataclasses.fields(Row)]
    lines = [str(Row(**{name: row[name] for name in names})) for row in known]
    (RESULTS / "speed.md").write_text("\n".join([HEADER, *lines]) + "\n")


if __name__ == "__main__":
    main()
