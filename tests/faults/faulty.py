"""An environment that fails in a given place in a given way. Like `Counter`, it lies apart from torch."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import gymnasium
import numpy as np

from tests.counter import Counter

FRAME = np.zeros((4, 4, 3), np.uint8)


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def hang():
    time.sleep(600)


def boom():
    raise ValueError("boom")


def chatter():
    print("chatter", flush=True)


class Faulty(Counter):
    """Does `fault()` in one place: 'start', 'reset', 'step', 'render' or 'close'.

    What `fault` returns, if it isn't None, is the observation or the frame.
    """

    def __init__(self, where, fault):
        super().__init__(length=10**6)
        self.render_mode = "rgb_array"
        self.metadata = {"render_modes": ["rgb_array"]}
        self.where, self.fault = where, fault
        self.spec = gymnasium.envs.registration.EnvSpec("Faulty-v0")
        if where == "start":
            fault()

    def _perhaps(self, where, otherwise):
        result = self.fault() if where == self.where else None
        return otherwise if result is None else result

    def reset(self, *, seed=None, options=None):
        return self._perhaps("reset", super().reset()[0]), {}

    def step(self, action):
        observation, *others = super().step(action)
        return self._perhaps("step", observation), *others

    def render(self):
        return self._perhaps("render", FRAME)

    def close(self):
        self._perhaps("close", None)


class make:
    """A function that makes `Faulty`; by `name` errors know what it would have made."""

    name = "Faulty-v0"

    def __init__(self, where, fault):
        self.where, self.fault = where, fault

    def __call__(self):
        return Faulty(self.where, self.fault)


def nothing():
    return None


class Returns(Counter):
    """Its step returns what it was given in the place of one of five values."""

    def __init__(self, place, value):
        super().__init__()
        self.place, self.value = place, value

    def step(self, action):
        result = list(super().step(action))
        result[self.place] = self.value
        return tuple(result)


def starts_a_process(file):
    """An environment whose simulator is a process of its own."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    Path(file).write_text(str(process.pid))
