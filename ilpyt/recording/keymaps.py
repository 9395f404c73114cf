"""Which keys make which action, for whoever plays an environment by hand (`ilpyt.recording`).

A keymap as a person writes it is a dict from key names joined by `+` to actions, `{"left": 0, "left+up": 4, "": 2}`;
`""` is what to do while no key is held.
"""

import difflib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ilpyt.utils.errors import DataError
from ilpyt.utils.extras import require

if TYPE_CHECKING:
    from ilpyt.envs import DummyVecEnv

KEYMAPS: dict[str, dict[str, Any]] = {
    "CartPole": {"left": 0, "right": 1},
    "MountainCar": {"left": 0, "right": 2, "": 1},
    "MountainCarContinuous": {"left": [-1], "right": [1], "": [0]},
    # The left engine turns and pushes the lander to the left (measured: tests/recording/test_keymaps.py).
    "LunarLander": {"left": 1, "up": 2, "right": 3, "": 0},
    "LunarLanderContinuous": {
        "left": [0, -1],
        "right": [0, 1],
        "up": [1, 0],
        "up+left": [1, -1],
        "up+right": [1, 1],
        "": [0, 0],
    },
    "CarRacing": {  # steering, gas, brake; at full gas the rear wheels spin in every bend
        "left": [-1, 0, 0],
        "right": [1, 0, 0],
        "up": [0, 0.8, 0],
        "down": [0, 0, 0.8],
        "up+left": [-1, 0.8, 0],
        "up+right": [1, 0.8, 0],
        "down+left": [-1, 0, 0.8],
        "down+right": [1, 0, 0.8],
        "": [0, 0, 0],
    },
}
FPS = {"CartPole": 15}  # at its own 50 a tap on a key would last four steps, and an episode ten seconds
ARROWS = {"up": "w", "left": "a", "down": "s", "right": "d"}  # each stands for the other where a keymap has but one
RESERVED = ("escape", "return", "enter", "backspace")  # they end the recording, keep and discard episodes

Combination = frozenset[int]


@dataclass(frozen=True)
class Keymap:
    """Actions by the keys that make them; keys are pygame's key codes.

    Attributes:
        actions: an action, as a row of a VecEnv's actions, for each combination of keys.
        noop: the action while no key is held; None: there is none.
        same: keys that stand for another.
    """

    actions: dict[Combination, Any]
    noop: Any = None
    same: dict[int, int] = field(default_factory=dict)

    @property
    def codes(self) -> set[int]:
        """All keys that mean something."""
        return {code for combination in self.actions for code in combination} | set(self.same)

    def action(self, held: Sequence[int]) -> Any:
        """The action of the keys that are held, the latest last; None: they mean nothing.

        If all of them together mean nothing, the fewest are left out, the earliest first: who holds left and goes on to
        right goes right before left is let go.
        """
        latest_first = list(dict.fromkeys(self.same.get(code, code) for code in reversed(held)))
        for size in range(len(latest_first), 0, -1):
            for chosen in combinations(latest_first, size):
                if frozenset(chosen) in self.actions:
                    return self.actions[frozenset(chosen)]
        return None


def read_keys(path: str | Path) -> dict[str, Any]:
    """A keymap from a JSON file.

    Raises:
        FileNotFoundError.
        DataError: it isn't JSON, or not an object.
    """
    try:
        keys = json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path} is not JSON: {error}") from None
    if not isinstance(keys, dict):
        raise DataError(f'{path} must be a JSON object of keys and actions, such as {{"left": 0, "right": 1}}')
    return keys


def choose_keymap(env: "DummyVecEnv", keys: Mapping[str, Any] | None = None) -> Keymap:
    """The keymap for an environment; pygame's display must be initialised, since it knows the keys' names.

    Args:
        env: whose actions they make.
        keys: names of keys, as pygame has them, joined by `+`, and the actions they make; `""`: while no key is held.
            None: ilpyt's own for that environment, or the environment's own.

    Raises:
        DataError: an unknown key (the nearest names are listed), an action that the environment doesn't have, or no
            keymap is known.
    """
    if keys is not None:
        return _from_names(env, keys)
    own = KEYMAPS.get(base_name(env.description["env_id"]))
    if own is not None and all(_row(env, action) is not None for action in own.values()):
        return _with_letters(_from_names(env, own))
    keymap = _from_environment(env)
    if keymap is not None:
        return _with_letters(keymap)
    space = env.action_space
    low, high = (0, env.num_actions - 1) if env.action_bounds is None else (b.tolist() for b in env.action_bounds)
    raise DataError(
        f"no keys are known for {env.description['env_id']}, whose actions are {space}. Say which key makes which "
        f'action: keys={{"left": {low}, "right": {high}}}, or the same in a JSON file and --keys FILE. Join keys that '
        'are held together by + ("left+up"); "" is the action while no key is held, without it the environment waits.'
    )


def base_name(env_id: str) -> str:
    """An environment's id without its version."""
    return re.sub(r"-v\d+$", "", env_id)


def _from_names(env: "DummyVecEnv", keys: Mapping[str, Any]) -> Keymap:
    """The keymap that a person wrote."""
    actions: dict[Combination, Any] = {}
    for names, action in keys.items():
        row = _row(env, action)
        if row is None:
            raise DataError(
                f"keys: {names!r} makes the action {action!r}, which {env.description['env_id']} doesn't have "
                f"({env.action_space})"
            )
        combination = _combination(names)
        if combination in actions:
            raise DataError(f"keys: {names!r} is there twice, in another order or spelling")
        actions[combination] = row
    noop = actions.pop(frozenset(), None)
    if not actions:
        raise DataError('keys: no key makes an action; write for instance {"left": 0, "right": 1}')
    return Keymap(actions, noop)


def _combination(names: str) -> Combination:
    """The key codes of names joined by `+`."""
    pygame = require("pygame", "record")
    codes = set()
    for part in names.split("+") if names not in ("", "+") else names:
        name = part.strip().lower() or part  # a blank is the space bar
        try:
            codes.add(pygame.key.key_code(name))
        except ValueError:
            known = {pygame.key.name(value) for key, value in vars(pygame).items() if key.startswith("K_")} - {""}
            nearest = difflib.get_close_matches(name, sorted(known), n=4, cutoff=0.5)
            hint = f"did you mean {', '.join(map(repr, nearest))}?" if nearest else "pygame.key.key_code has the names"
            raise DataError(f"keys: there is no key {part!r} (in {names!r}); {hint}") from None
        if name in RESERVED:
            raise DataError(
                f"keys: {name!r} is taken: Enter keeps an episode, Backspace discards it, Escape ends the recording"
            )
    return frozenset(codes)


def _from_environment(env: "DummyVecEnv") -> Keymap | None:
    """The keymap that an environment itself has, as Atari's games do; None: it has none, or one that doesn't fit."""
    inner = env.envs[0]
    try:
        keys = inner.get_wrapper_attr("get_keys_to_action")()
    except AttributeError:
        return None
    start = int(getattr(inner.unwrapped.action_space, "start", 0))  # a VecEnv counts from 0
    actions = {}
    for names, action in keys.items():
        codes = [names] if isinstance(names, int) else [ord(k) if isinstance(k, str) else k for k in names]
        actions[frozenset(codes)] = _row(env, np.asarray(action) - start)
    if any(row is None for row in actions.values()):
        return None
    noop = actions.pop(frozenset(), None)
    if noop is None and inner.has_wrapper_attr("get_action_meanings"):
        meanings = inner.get_wrapper_attr("get_action_meanings")()
        noop = _row(env, meanings.index("NOOP")) if "NOOP" in meanings else None
    return Keymap(actions, noop) if actions else None


def _with_letters(keymap: Keymap) -> Keymap:
    """`keymap`, with W, A, S and D for the arrow keys, or the other way round."""
    pygame = require("pygame", "record")
    same = {}
    for names in ARROWS.items():
        arrow, letter = (pygame.key.key_code(name) for name in names)
        if arrow in keymap.codes and letter not in keymap.codes:
            same[letter] = arrow
        elif letter in keymap.codes and arrow not in keymap.codes:
            same[arrow] = letter
    return Keymap(keymap.actions, keymap.noop, same)


def _row(env: "DummyVecEnv", action: Any) -> Any:
    """The action as a row of the VecEnv's actions, int64 or float32 [A]; None: the environment doesn't have it."""
    try:
        row = np.asarray(action)
    except ValueError:  # lists of several lengths
        return None
    discrete = env.type == "discrete"
    if row.shape != env.action_shape or row.dtype.kind not in ("iu" if discrete else "iuf"):
        return None
    row = row.astype(np.int64 if discrete else np.float32)
    return None if env.find_invalid_action(row[None]) is not None else row
