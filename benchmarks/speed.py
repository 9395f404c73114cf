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
from collections.abc import Callable, Iterable
from pathlib import Path

from claims import bc, envs, growth, imports, training
from claims.measure import HEADER, Row

from ilpyt.utils.versions import package_versions

RESULTS = Path(__file__).parent / "results"
CLAIMS: dict[str, Callable[[int, float], Iterable[Row]]] = {
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
    parser.add_argument("--turns", type=int, default=50, help="turns of each side")
    parser.add_argument("--seconds", type=float, default=0.1, help="length of a turn")
    args = parser.parse_args()
    logging.disable(logging.WARNING)
    names = list(CLAIMS) if "all" in args.claims else args.claims
    if unknown := set(names) - set(CLAIMS):
        parser.error(f"unknown claims: {', '.join(unknown)}; there are {', '.join(CLAIMS)}")
    print(HEADER)
    for name in names:
        rows = []
        for row in CLAIMS[name](args.turns, args.seconds):
            rows.append(row)
            keep(name, rows)


def keep(name: str, rows: list[Row]) -> None:
    """Write what was measured of a claim in the place of what was known."""
    file = RESULTS / "speed.json"
    known = json.loads(file.read_text()) if file.exists() else {}
    known[name] = {
        "date": datetime.date.today().isoformat(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "versions": package_versions(),
        "rows": [dataclasses.asdict(row) for row in rows],
    }
    known = {name: known[name] for name in CLAIMS if name in known}
    RESULTS.mkdir(exist_ok=True)
    file.write_text(json.dumps(known, indent=1))
    lines = [str(Row(**row)) for claim in known.values() for row in claim["rows"]]
    (RESULTS / "speed.md").write_text("\n".join([HEADER, *lines]) + "\n")


if __name__ == "__main__":
    main()
