"""`ilpyt.recording` on a real X server (a virtual one), with keys that are really held and let go.

SCREENSHOTS=FOLDER keeps pictures of the window, to look at.
"""

import os
import re
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest

from ilpyt.envs import build_env
from ilpyt.recording.window import STRIP
from ilpyt.runners import Experiences

pytest.importorskip("pygame")
pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(
        not (shutil.which("Xvfb") and shutil.which("xdotool")), reason="Xvfb and xdotool play on a virtual screen"
    ),
]


class Screen:
    """A virtual screen, and somebody at its keyboard."""

    def __init__(self, folder):
        reading, writing = os.pipe()
        arguments = ["-displayfd", str(writing), "-screen", "0", "1000x700x24", "-nolisten", "tcp", "-fbdir", folder]
        self.server = subprocess.Popen(["Xvfb", *arguments], pass_fds=[writing], stderr=subprocess.DEVNULL)
        os.close(writing)
        with os.fdopen(reading) as pipe:
            self.environ = {**os.environ, "DISPLAY": f":{pipe.readline().strip()}"}
        self.environ["LC_ALL"] = "C"  # in others SDL writes titles among which xdotool's search finds none
        self.environ.pop("SDL_VIDEODRIVER", None)
        self.image = folder / "Xvfb_screen0"

    def xdotool(self, *arguments):
        done = subprocess.run(
            ["xdotool", *map(str, arguments)], env=self.environ, capture_output=True, text=True, timeout=30
        )
        assert done.returncode == 0, (arguments, done.stderr)
        return done.stdout.strip()

    def focus(self, title):
        self.window = self.xdotool("search", "--sync", "--onlyvisible", "--name", title).split()[0]
        self.xdotool("windowfocus", "--sync", self.window)

    def title(self):
        return self.xdotool("getwindowname", self.window)

    def screenshot(self):
        """uint8 [H, W, 3], of the file in X's dump format in which Xvfb keeps the screen."""
        content = self.image.read_bytes()
        header = np.frombuffer(content, ">u4", 25)
        width, height, line, colours = (int(header[i]) for i in (4, 5, 12, 19))
        pixels = np.frombuffer(content, np.uint8, line * height, int(header[0]) + 12 * colours)
        return pixels.reshape(height, line // 4, 4)[:, :width, 2::-1]

    def of_window(self):
        """The screenshot's part that shows the window."""
        geometry = self.xdotool("getwindowgeometry", self.window)
        x, y = map(int, re.search(r"Position: (-?\d+),(-?\d+)", geometry).groups())
        width, height = map(int, re.search(r"Geometry: (\d+)x(\d+)", geometry).groups())
        return self.screenshot()[y : y + height, x : x + width]


@pytest.fixture
def screen(tmp_path):
    screen = Screen(tmp_path)
    yield screen
    screen.server.terminate()
    screen.server.wait(timeout=10)


@pytest.fixture
def start(screen, tmp_path):
    """Starts a recording; its window is at the front when it returns."""
    processes = []

    def run(env_id, **options):
        call = f"from ilpyt.recording import record; record({env_id!r}, 'demo.npz', **{options!r})"
        processes.append(
            subprocess.Popen(
                [sys.executable, "-c", call],
                cwd=tmp_path,
                env={**screen.environ, "PYTHONUNBUFFERED": "1"},
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        screen.focus(f"^{env_id}: ")
        return processes[-1]

    yield run
    for process in processes:
        process.kill()
        process.wait()
        process.stdout.close()


def play_by_turns(screen, number, *keys):
    """Hold one key after the other until the episode's steps go on no more; how many there were."""
    former = None
    while True:
        for key in keys:
            screen.xdotool("keydown", key)
            time.sleep(0.15)
            screen.xdotool("keyup", key)
        title = screen.title()
        assert f"Episode {number} " in title
        if title == former:
            return int(re.search(r"step (\d+)", title)[1])
        former = title


def test_three_episodes_by_keyboard(screen, start, tmp_path):
    process = start("CartPole-v1", episodes=3, seed=11)
    time.sleep(0.5)
    assert "step 0 " in screen.title()  # it waits
    lengths = []
    for i, keys in enumerate((("Left", "Right"), ("a", "d"), ("Right",))):
        lengths.append(play_by_turns(screen, i + 1, *keys))
        window = screen.of_window()
        assert window.shape == (400 + STRIP, 600, 3)
        assert (window[STRIP:] == 255).all(axis=2).mean() > 0.9  # the game, which is on white
        for line in (window[: STRIP // 2], window[STRIP // 2 : STRIP]):
            assert 0.02 < (line[..., 0] > 150).mean() < 0.5
        if "SCREENSHOTS" in os.environ:
            from PIL import Image

            Image.fromarray(window).save(os.path.join(os.environ["SCREENSHOTS"], f"cartpole{i}.png"))
        screen.xdotool("key", "Return")
        line = process.stdout.readline()
        assert line.startswith(f"episode {i + 1} (seed {11 + i}): return {lengths[-1]}.0")
        experiences = Experiences.load(tmp_path / "demo.npz")
        assert [end - start for start, end in experiences.bounds()] == lengths
    assert "demo.npz: 3 episodes" in process.stdout.readline()
    assert process.wait(timeout=20) == 0
    assert set(experiences.actions[-lengths[-1] :].tolist()) == {1}
    check_reproducible("CartPole-v1", experiences)


def test_lander_under_held_keys_until_escape(screen, start, tmp_path):
    process = start("LunarLander-v3", max_episode_steps=60)
    for key in ("Up", "Left"):
        screen.xdotool("keydown", key)
        time.sleep(0.4)
        screen.xdotool("keyup", key)
    time.sleep(1.5)
    screen.xdotool("key", "BackSpace")
    assert "60 steps, discarded" in process.stdout.readline()
    screen.xdotool("keydown", "Left")
    time.sleep(2)
    screen.xdotool("keyup", "Left")
    if "SCREENSHOTS" in os.environ:
        from PIL import Image

        Image.fromarray(screen.of_window()).save(os.path.join(os.environ["SCREENSHOTS"], "lander.png"))
    screen.xdotool("key", "Return")
    assert "60 steps, kept" in process.stdout.readline()
    screen.xdotool("keydown", "Up")
    time.sleep(0.2)
    screen.xdotool("key", "Escape")
    assert re.search(r"episode 3 \(seed 2\): unfinished, .*discarded", process.stdout.readline())
    assert "demo.npz: 1 episode," in process.stdout.readline()
    assert process.wait(timeout=20) == 0
    experiences = Experiences.load(tmp_path / "demo.npz")
    assert experiences.actions.tolist() == [1] * 60
    check_reproducible("LunarLander-v3", experiences)


def check_reproducible(env_id, experiences):
    """The recorded actions, from the recorded seeds, lead through the recorded states."""
    with build_env(env_id, num_env=1) as env:
        for episode, seed in zip(experiences.episodes(), experiences.metadata["seeds"], strict=True):
            state = env.reset(seed)
            for expected, action in zip(episode.states, episode.actions, strict=True):
                np.testing.assert_array_equal(state[0], expected.numpy())
                state, *_ = env.step(action.numpy()[None])
