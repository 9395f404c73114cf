"""Demonstrations as people have them, flat arrays or one array an episode, brought into the fields of `Experiences`."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from ilpyt.utils.errors import DataError

Fields = dict[str, np.ndarray]


def fields_from_arrays(
    states: Any, actions: Any, rewards: Any, dones: Any, terminated: Any, truncated: Any
) -> dict[str, np.ndarray]:
    """What `Experiences.from_arrays` takes, as the fields of `Experiences`.

    A state is a vector or an image, so what has 1 or 3 dimensions is one state, what has 2 or 4 an episode of them.
    """
    if len(states) and np.ndim(_as_array(states[0], "states")) in (2, 4):
        _refuse_grey_images(states, actions, rewards, dones)
        if dones is not None:
            raise DataError("dones go with flat arrays; where each array is one episode, leave them out")
        return join_episodes(states, actions, rewards, terminated, truncated)
    fields = {"states": _as_array(states, "states"), "actions": _as_array(actions, "actions")}
    fields["rewards"] = np.zeros(len(fields["actions"])) if rewards is None else _as_array(rewards, "rewards")
    given = {"dones": dones, "terminated": terminated, "truncated": truncated}
    flags = {name: _as_flags(flag, name) for name, flag in given.items() if flag is not None}
    for name, flag in flags.items():
        if flag.ndim != 1:
            raise DataError(f"{name} must have shape [{len(fields['states'])}], not {list(flag.shape)}")
    lengths = {name: len(array) for name, array in {**fields, **flags}.items()}
    if len(set(lengths.values())) > 1:
        raise DataError(f"fields differ in length: {', '.join(f'{name} {n}' for name, n in lengths.items())}")
    return {**fields, **_ends(flags)}


def _refuse_grey_images(states: Any, actions: Any, rewards: Any, dones: Any) -> None:
    """Refuse one array of states [M, H, W] that may be images without channels, and not M episodes of H vectors.

    Episodes have whole actions [M, H] or vectors [M, H, A], and rewards [M, H]; vectors [M, A] may be those of images.
    """
    if not isinstance(states, np.ndarray | Tensor) or np.ndim(states) != 3:
        return
    acted = _as_array(actions, "actions")
    are_episodes = acted.ndim > 2 or (acted.ndim == 2 and acted.dtype.kind in "biu")
    if are_episodes and dones is None and (rewards is None or np.ndim(_as_array(rewards, "rewards")) != 1):
        return
    shape = list(states.shape)
    raise DataError(
        f"states have shape {shape}, actions {list(acted.shape)}: if these are grey images, one a transition, give "
        f"them the shape {[*shape, 1]}; if they are episodes of vectors, give list(states), list(actions) and no dones"
    )


def _ends(flags: Mapping[str, np.ndarray]) -> Fields:
    """`dones` and `truncated`, bool [M], from those of `dones`, `terminated` and `truncated` that there are."""
    if not flags:
        raise DataError(
            "where do episodes end? Give dones (bool [M]), terminated and truncated, or lists of one array an episode"
        )
    dones = flags.get("dones", np.logical_or.reduce(list(flags.values())))
    for name, flag in flags.items():
        if (flag & ~dones).any():
            raise DataError(f"transition {int(np.argmax(flag & ~dones))} is {name}, but not done")
    if "terminated" in flags:
        return {"dones": dones, "truncated": dones & ~flags["terminated"]}
    return {"dones": dones, "truncated": flags.get("truncated", np.zeros_like(dones))}


def join_episodes(states: Any, actions: Any, rewards: Any, terminated: Any, truncated: Any) -> Fields:
    """Episodes end to end.

    Args:
        states: E arrays [T, *obs] or [T + 1, *obs].
        actions: E arrays [T] or [T, A].
        rewards: E arrays [T]; None: zeros.
        terminated: E bools, or E arrays bool [T] of which only the last may be true; None: not those that `truncated`
            says were cut off.
        truncated: likewise; looked at where there is no `terminated`.
    """
    given = {"actions": actions, "rewards": rewards, "terminated": terminated, "truncated": truncated}
    for name, values in given.items():
        if values is not None and len(values) != len(states):
            raise DataError(f"states are of {len(states)} episodes, {name} of {len(values)}")
    episodes = [
        _episode(i, states[i], **{name: None if values is None else values[i] for name, values in given.items()})
        for i in range(len(states))
    ]
    return {name: _join(name, [episode[name] for episode in episodes]) for name in episodes[0]}


def _episode(i: int, states: Any, actions: Any, rewards: Any, terminated: Any, truncated: Any) -> Fields:
    """The fields of episode `i`."""
    where = f"episode {i}"
    states, actions = _as_array(states, f"{where}: states"), _as_array(actions, f"{where}: actions")
    if not actions.ndim:
        raise DataError(
            f"{where}: states {list(states.shape)} are an episode of vectors or images, but actions are one number; a "
            "single grey image has the shape [height, width, 1]"
        )
    length = len(actions)
    if not length:
        raise DataError(f"{where} has no actions")
    if len(states) not in (length, length + 1):
        raise DataError(
            f"{where} has {len(states)} states and {length} actions; there must be as many, or one state more"
        )
    rewards = np.zeros(length) if rewards is None else _as_array(rewards, f"{where}: rewards")
    if rewards.shape != (length,):
        raise DataError(f"{where}: rewards have shape {list(rewards.shape)}, expected [{length}]")
    if terminated is not None:
        is_cut = not _ends_so(terminated, length, f"{where}: terminated")
    else:
        is_cut = truncated is not None and _ends_so(truncated, length, f"{where}: truncated")
    last = np.arange(length) == length - 1
    return {
        "states": states[:length],
        "actions": actions,
        "rewards": rewards,
        "dones": last,
        "truncated": last & is_cut,
    }


def _ends_so(flag: Any, length: int, what: str) -> bool:
    """An episode's flag: one bool, or the last of bool [T], the others of which are false."""
    flags = _as_flags(flag, what)
    if not flags.ndim:
        return bool(flags)
    if flags.shape != (length,):
        raise DataError(f"{what} has shape {list(flags.shape)}, expected one bool, or [{length}]")
    if flags[:-1].any():
        raise DataError(f"{what} is true at step {int(np.argmax(flags))} of {length}: the episode goes on after it")
    return bool(flags[-1])


def _join(name: str, arrays: Sequence[np.ndarray]) -> np.ndarray:
    expected = list(arrays[0].shape[1:])
    for i, array in enumerate(arrays):
        if list(array.shape[1:]) != expected:
            raise DataError(f"{name} of episode {i} have shape {list(array.shape[1:])} each, of episode 0 {expected}")
    return np.concatenate(arrays)


def _as_flags(value: Any, what: str) -> np.ndarray:
    """Bools, or numbers of which each is 0 or 1; anything else isn't taken for true, as NumPy does."""
    flags = _as_array(value, what)
    if flags.dtype != bool:
        for flag in flags.flat if flags.dtype.kind not in "iuf" else flags[(flags != 0) & (flags != 1)].flat:
            if not isinstance(flag, bool | int | float | np.bool_ | np.number) or flag not in (0, 1):
                shown = flag.item() if isinstance(flag, np.generic) else flag
                raise DataError(f"{what} must be bool, or 0 and 1, not {shown!r:.40}")
    return flags.astype(bool)


def _as_array(value: Any, what: str) -> np.ndarray:
    try:
        return value.detach().cpu().numpy() if isinstance(value, Tensor) else np.asarray(value)
    except ValueError as error:
        raise DataError(f"{what} can't be made an array: {error}") from None
