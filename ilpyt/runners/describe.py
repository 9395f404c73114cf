"""What demonstrations hold, as text, and what is wrong with them: `ilpyt demos info`."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ilpyt.runners.fit import first_not_finite, step_of
from ilpyt.utils.errors import DataError, EnvError
from ilpyt.utils.text import printable

if TYPE_CHECKING:
    from ilpyt.runners.experiences import Experiences

MAX_ROWS = 40  # of a table
MAX_NAME, MAX_VALUE, MAX_FINDING = 60, 200, 1000  # characters


@dataclass(frozen=True)
class Finding:
    """Something that whoever uses demonstrations should know.

    Attributes:
        text: in words.
        is_fatal: nothing can be learnt from them as they are.
    """

    text: str
    is_fatal: bool = False


def describe(experiences: "Experiences", source: str, findings: Sequence[Finding] | None = None) -> str:
    """Episodes, ranges, metadata and findings, in aligned columns.

    What a file says is escaped where it isn't printable, and shortened where it is long.

    Args:
        experiences: the demonstrations.
        source: what to call them, for instance the file's path.
        findings: what `find_problems` found; None: look now.
    """
    if findings is None:
        findings = find_problems(experiences)
    parts = [[printable(source)]]
    if len(experiences):
        parts += [_episodes(experiences), _states(experiences.states), _actions(experiences.actions)]
    if experiences.metadata:
        rows = [
            (printable(name, MAX_NAME), printable(value, MAX_VALUE)) for name, value in experiences.metadata.items()
        ]
        parts.append(["metadata", *_aligned(rows, "<<")])
    problems = [
        f"  {'ERROR  ' if finding.is_fatal else ''}{printable(finding.text, MAX_FINDING)}" for finding in findings
    ]
    parts.append(["problems", *(problems or ["  none found"])])
    return "\n\n".join("\n".join(lines) for lines in parts)


def find_problems(experiences: "Experiences", env_id: str | None = None) -> list[Finding]:
    """What is wrong with demonstrations, or odd.

    Args:
        experiences: the demonstrations.
        env_id: of the environment that is built to try them; None: what their metadata say.
    """
    if not len(experiences):
        return [Finding("there are no transitions", is_fatal=True)]
    findings = []
    for name in ("states", "actions", "rewards"):
        tensor = getattr(experiences, name)
        row = first_not_finite(tensor)
        if row is not None:
            count = int((~torch.isfinite(tensor)).sum())
            where = step_of(experiences, row)
            findings.append(Finding(f"{name} hold nan or infinity {count} times, first {where}", is_fatal=True))
    if not findings:
        findings += _misfit(experiences, env_id)
    return findings + _oddities(experiences)


def _misfit(experiences: "Experiences", env_id: str | None) -> list[Finding]:
    from ilpyt.envs import build_env

    if env_id is None and not isinstance(experiences.metadata.get("env_id"), str):
        return [Finding("the metadata have no env_id, so they weren't compared with an environment")]
    try:
        env = build_env(env_id or named_env(experiences), num_env=1)
    except (DataError, EnvError) as error:
        return [Finding(f"not compared with their environment, which can't be built here: {error}")]
    with env:
        try:
            experiences.fit_to(env)
        except DataError as error:
            return [Finding(str(error), is_fatal=True)]
    return []


def named_env(experiences: "Experiences") -> str:
    """The id, for `build_env`, of the environment that their metadata name.

    Raises:
        DataError: a module would be imported for it, which a file may not ask for.
    """
    from ilpyt.envs.build import imports_module

    if imports_module(str(experiences.metadata["env_id"])):
        raise DataError(f"a module would be imported for {experiences.metadata['env_id']!r}")
    prefix = "gym:" if experiences.metadata.get("backend") == "gym" else ""
    return f"{prefix}{experiences.metadata['env_id']}"


def _oddities(experiences: "Experiences") -> list[Finding]:
    texts = []
    if not experiences.dones[-1]:
        texts.append("the last episode is unfinished")
    states = experiences.states
    if states.dim() == 2 and len(states) > 1:
        constant = torch.nonzero((states == states[0]).all(dim=0)).flatten().tolist()
        if constant:
            texts.append(f"constant state dimensions: {', '.join(map(str, constant))}")
    seen: dict[bytes, int] = {}
    repeats = []
    for i, episode in enumerate(experiences.episodes()):
        content = hashlib.blake2b(episode.states.cpu().numpy().tobytes())
        content.update(episode.actions.cpu().numpy().tobytes())
        first = seen.setdefault(content.digest(), i)
        if first != i:
            repeats.append(f"{i} is {first}")
    if repeats:
        more = f" and {len(repeats) - 5} more" if len(repeats) > 5 else ""
        texts.append(f"episodes that are there twice: {', '.join(repeats[:5])}{more}")
    if not experiences.rewards.any():
        texts.append("all rewards are 0, so returns say nothing; imitation learns without them")
    return [Finding(text) for text in texts]


def _episodes(experiences: "Experiences") -> list[str]:
    lengths = torch.tensor([end - start for start, end in experiences.bounds()], dtype=torch.float64)
    returns = torch.tensor(experiences.get_episode_rewards(), dtype=torch.float64)
    ends = int((experiences.dones & experiences.truncated).sum())
    rows = [
        ("episodes", f"{len(lengths):,}, of which {ends:,} were cut off"),
        ("transitions", f"{len(experiences):,}"),
        ("length", f"{lengths.min():.0f} / {lengths.quantile(0.5):g} / {lengths.max():.0f}  (min / median / max)"),
        ("return", f"{returns.mean():.2f} +/- {returns.std(correction=0):.2f}  (from {returns.min():.2f} to "
                   f"{returns.max():.2f})"),
    ]  # fmt: skip
    return _aligned(rows, "<<", indent="")


def _states(states: Tensor) -> list[str]:
    title = f"states  {_kind(states)}"
    if states.dim() != 2:
        return [title, f"  from {states.min().item():g} to {states.max().item():g}"]
    return [title, *_ranges(states)]


def _actions(actions: Tensor) -> list[str]:
    title = f"actions  {_kind(actions)}"
    if actions.is_floating_point() and actions.dim() == 2:
        return [title, *_ranges(actions)]
    values, counts = actions.unique(return_counts=True)
    rows = [
        (f"{value:g}", f"{count:,}", f"{count / actions.numel():.1%}")
        for value, count in zip(values.tolist(), counts.tolist(), strict=True)
    ]
    return [title, *_aligned([("value", "count", "share"), *rows], ">>>")]


def _ranges(values: Tensor) -> list[str]:
    """A line for each dimension of float [M, D]."""
    columns = (values.amin(dim=0), values.double().mean(dim=0), values.amax(dim=0))
    rows = [
        (str(i), *(f"{number:.4g}" for number in numbers))
        for i, numbers in enumerate(zip(*(column.tolist() for column in columns), strict=True))
    ]
    return _aligned([("dimension", "min", "mean", "max"), *rows], ">>>>")


def _kind(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"


def _aligned(rows: Sequence[tuple[str, ...]], sides: str, indent: str = "  ") -> list[str]:
    """Rows in columns, each aligned to the left (<) or right (>); past the first 40, only how many more there are."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lines = [
        indent
        + "  ".join(f"{cell:{side}{width}}" for cell, side, width in zip(row, sides, widths, strict=True)).rstrip()
        for row in rows[: MAX_ROWS + 1]
    ]
    if len(rows) > MAX_ROWS + 1:
        lines.append(f"{indent}and {len(rows) - MAX_ROWS - 1:,} more")
    return lines
