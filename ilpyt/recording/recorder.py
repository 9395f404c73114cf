"""Demonstrations by hand: `record` lets a person play an environment, and keeps the episodes that are worth it."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ilpyt.recording.demo_file import DemoFile, check_path, count, total
from ilpyt.recording.keymaps import FPS, base_name, choose_keymap
from ilpyt.recording.window import GameWindow
from ilpyt.utils.display import open_display, require_pygame
from ilpyt.utils.errors import EnvError
from ilpyt.utils.interrupts import Interrupts

if TYPE_CHECKING:
    from ilpyt.envs import DummyVecEnv
    from ilpyt.runners import Experiences

NO_SCREEN = "Run this on a machine with one, log in by `ssh -X`, or use a virtual one: `xvfb-run ilpyt record ...`"


def record(
    env_id: str,
    out: str | Path | None = None,
    *,
    keys: Mapping[str, Any] | None = None,
    episodes: int | None = None,
    seed: int | None = None,
    append: bool = False,
    fps: float | None = None,
    wait: bool | None = None,
    zoom: float | None = None,
    **make_kwargs: Any,
) -> "Experiences":
    """Play one environment in a window, and write the episodes that are kept to a demonstration file.

    An episode begins with the first key that means something. At its end, Enter keeps it and Backspace discards it; R
    starts the one under way again. Escape, the window's closing and Ctrl-C end the recording; an episode that is under
    way, or not decided on, is then discarded. After each episode that is kept, the file is there whole, with all of
    them.

    Args:
        env_id: see `build_env`.
        out: the file, .npz or .pkl; None: `<env_id>.npz` in the current folder.
        keys: names of keys, as pygame has them, joined by `+`, and the actions they make; `""`: while no key is held.
            None: ilpyt's own for the environment, or the environment's own.
        episodes: number of episodes to keep; None: until Escape.
        seed: environment seed of the first episode; each that follows has the next one. None: 0, or the one after
            those in the file.
        append: add to the file, if it is there, rather than refuse to.
        fps: env steps a second; None: the environment's own `render_fps`, but 15 for CartPole.
        wait: whether the environment waits while no key is held; None: if its keys have no action for that.
        zoom: how much larger than drawn the game is shown; None: small ones larger.
        make_kwargs: go to the package's `make`.

    Returns:
        All episodes that are in the file; empty if none was kept.

    Raises:
        EnvError: no such environment, or it draws no images.
        DataError: keys that don't fit the environment, or a file that isn't of this environment.
        SaveError: the file is there already, or can't be written.
        DisplayError: there is no screen.
        MissingExtraError: pygame isn't installed.
    """
    for name, value in (("episodes", episodes), ("fps", fps), ("zoom", zoom)):
        if value is not None and not value > 0:
            raise ValueError(f"{name} must be more than 0, got {value!r}")
    path = Path(out or re.sub(r"[^\w.-]", "-", env_id) + ".npz")
    check_path(path, append)
    require_pygame()
    from ilpyt.envs import DummyVecEnv, build_env
    from ilpyt.envs.last_frame import LastFrame

    # environments that draw with pygame shut it down when they're closed: that comes last
    with build_env(env_id, num_env=1, wrappers=[LastFrame], render_mode="rgb_array", **make_kwargs) as env:
        assert isinstance(env, DummyVecEnv)
        if env.render_mode != "rgb_array":
            raise EnvError(f"{env_id} draws no images (render_mode='rgb_array'), so that nobody could see what to do")
        file = DemoFile(path, env)
        seed = file.next_seed if seed is None else seed
        env.reset(seed)  # before it has, it can't be drawn
        pygame = open_display(NO_SCREEN)
        try:
            keymap = choose_keymap(env, keys)
            if wait is False and keymap.noop is None:
                raise ValueError('wait=False needs an action for when no key is held: keys={"": ..., ...}')
            fps = fps or FPS.get(base_name(env.description["env_id"])) or env.envs[0].metadata.get("render_fps") or 30
            window = GameWindow(env, keymap, fps, zoom)
            player = _Player(env, window, file, keymap.noop, keymap.noop is None if wait is None else wait)
            player.play(episodes, seed)
        finally:
            pygame.quit()
    print(file.summary(), flush=True)
    return file.experiences


class _Player:
    """A person who plays one environment."""

    def __init__(self, env: "DummyVecEnv", window: GameWindow, file: DemoFile, noop: Any, wait: bool) -> None:
        self.env = env
        self.window = window
        self.file = file
        self.noop = noop
        self.wait = wait
        self.number = 1  # of the episode
        self.kept = 0
        self._interrupts = Interrupts()

    def play(self, episodes: int | None, seed: int) -> None:
        """Play until so many episodes are kept, or the recording is ended; tell what becomes of each."""
        with self._interrupts.deferred():  # a file that is being written is finished; a second Ctrl-C doesn't wait
            while self.kept != episodes:
                steps = self._play_episode(seed)
                decision = self._ask(steps) if steps and steps[-1][3] else "end"
                fate = {"keep": "kept", "discard": "discarded", "end": "discarded, as the recording was ended"}[
                    decision
                ]
                if decision == "keep":
                    self.file.add(steps, seed)
                    self.kept += 1
                    fate += f"; {self.file.path} has {count(self.file.returns)}"
                if steps:
                    finished = "" if steps[-1][3] else "unfinished, "
                    result = f"return {total(steps):.1f}, {len(steps)} steps"
                    print(f"episode {self.number} (seed {seed}): {finished}{result}, {fate}", flush=True)
                if decision == "end":
                    return
                self.number += 1
                seed += 1

    def _play_episode(self, seed: int) -> list[tuple]:
        """State, action, reward, done and truncated of each step; not done at the end if the recording was ended."""
        steps: list[tuple] = []
        states, started = self.env.reset(seed), False
        while True:
            asked = self._show(self.env.render()[0], steps, self._hint(started))
            if "end" in asked:
                return steps
            if "restart" in asked:
                states, steps, started = self.env.reset(seed), [], False
                continue
            action = self.window.action
            started = started or action is not None
            if action is None:
                if self.wait or not started:
                    continue
                action = self.noop
            next_states, rewards, dones, infos = self.env.step(action[None])
            steps.append((states[0], action, rewards[0], dones[0], infos["truncated"][0]))
            if dones[0]:
                return steps
            states = next_states

    def _ask(self, steps: list[tuple]) -> str:
        """What shall become of an episode: 'keep', 'discard' or, undecided, 'end'."""
        frame = self.env.envs[0].get_wrapper_attr("last_frame")
        end = "time limit" if steps[-1][4] else "over"
        question = f"{end}, return {total(steps):.1f}: keep (Enter) or discard (Backspace)?"
        while True:
            asked = self._show(frame, steps, question[0].upper() + question[1:])
            for decision in ("end", "keep", "discard"):
                if decision in asked:
                    return decision

    def _show(self, frame: np.ndarray, steps: list[tuple], hint: str) -> set[str]:
        """Draw a frame; what was asked for meanwhile."""
        status = f"Episode {self.number}   step {len(steps)}   return {total(steps):.1f}   kept {self.kept}"
        asked = self.window.show(frame, status, hint)
        return asked | {"end"} if self._interrupts.pending else asked

    def _hint(self, started: bool) -> str:
        begin = "" if started else "Press a key of the game to begin.   "
        return f"{begin}{self.window.restart_key.upper()}: start again   Esc: end, discarding this episode"
