"""How claims are measured: own code and peer in turns, and the ratio of the medians."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

HEADER = "| claim | ilpyt | peer | ratio | goal |\n| --- | --- | --- | --- | --- |"


@dataclass
class Row:
    """A claim, as the table says it, and the numbers behind it.

    Attributes:
        claim: what is compared with what.
        own: ilpyt's figure.
        peer: the other side's.
        ratio: of the two, with its spread.
        goal: what it should be.
        data: everything measured.
    """

    claim: str
    own: str
    peer: str
    ratio: str
    goal: str
    data: dict[str, Any]

    def __str__(self) -> str:
        return f"| {self.claim} | {self.own} | {self.peer} | {self.ratio} | {self.goal} |"


def in_turns(sides: Sequence[Callable[[], float]], turns: int) -> list[list[float]]:
    """What each side gives, A B A B ...; the first turn of each warms up and doesn't count."""
    results: list[list[float]] = [[] for _ in sides]
    for turn in range(turns + 1):
        for side, measured in zip(sides, results, strict=True):
            figure = side()
            if turn:
                measured.append(figure)
    return results


def compare(claim: str, goal: str, unit: str, own: Callable[[], float], peer: Callable[[], float], turns: int) -> Row:
    """Rates of own code and peer, in turns."""
    return as_row(claim, goal, unit, *in_turns([own, peer], turns))


def as_row(claim: str, goal: str, unit: str, own: list[float], peer: list[float]) -> Row:
    """What is reported of the rates of both sides; prints it."""
    own_median, peer_median = statistics.median(own), statistics.median(peer)
    low, high = np.quantile([a / b for a, b in zip(own, peer, strict=True)], [0.25, 0.75])
    row = Row(
        claim,
        f"{own_median:,.0f}",
        f"{peer_median:,.0f} {unit}",
        f"{own_median / peer_median:.2f}x ({low:.2f} to {high:.2f})",
        goal,
        {"unit": unit, "own": own, "peer": peer, "ratio": own_median / peer_median},
    )
    print(row, flush=True)
    return row


def race(claim: str, goal: str, own: list[dict[str, Any]], peer: list[dict[str, Any]]) -> Row:
    """What is reported of the seconds that both sides took to get somewhere, a run a seed; prints it.

    Args:
        claim: what is compared.
        goal: what the ratio should be.
        own: `seconds`, `steps` and `reached` of each run, of which there is an odd number.
        peer: the same; where it hasn't `reached`, its time is a lower bound, and so the ratio an upper one.
    """
    listed = [
        ", ".join(f"{r['seconds']:.3g} s ({r['steps']:,}{'' if r['reached'] else ', not reached'})" for r in runs)
        for runs in (own, peer)
    ]
    in_the_middle = [sorted(runs, key=lambda r: r["seconds"])[len(runs) // 2] for runs in (own, peer)]
    ratio = in_the_middle[0]["seconds"] / in_the_middle[1]["seconds"]
    said = f"{ratio:.2f}x" if in_the_middle[1]["reached"] else f"at most {ratio:.2f}x"
    if not in_the_middle[0]["reached"]:
        said = "not reached"
    row = Row(claim, *listed, said, goal, {"own": own, "peer": peer, "ratio": ratio})
    print(row, flush=True)
    return row
