"""`ilpyt.recording.window`: text above the game, and what its imports leave as it was."""

import subprocess
import sys

import numpy as np
import pytest

from ilpyt.envs import build_env
from ilpyt.recording.keymaps import choose_keymap
from ilpyt.recording.window import STRIP, GameWindow
from ilpyt.utils.display import open_display
from ilpyt.utils.errors import DisplayError

pygame = pytest.importorskip("pygame")


@pytest.fixture(autouse=True)
def hidden_display(monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    yield
    pygame.quit()


def test_without_a_screen_it_says_how_to_go_on(monkeypatch):
    for name in ("SDL_VIDEODRIVER", "DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(DisplayError, match=r"^there is no screen \(.*\)\. Use another\.$"):
        open_display("Use another.")
    monkeypatch.setenv("SDL_VIDEODRIVER", "x11")  # asked for, but it isn't there
    with pytest.raises(DisplayError, match=r"^there is no screen \(x11 not available\)"):
        open_display("Use another.")


def test_text_stands_above_the_game_also_in_a_larger_or_tiny_window(monkeypatch):
    open_display("Use another.")
    with build_env("CartPole-v1", num_env=1, render_mode="rgb_array") as env:
        env.reset(0)
        frame = env.render()[0]
        window = GameWindow(env, choose_keymap(env), fps=1e5)
        window.show(frame, "Episode 1", "keep?")
        shown = pygame.surfarray.array3d(pygame.display.get_surface()).swapaxes(0, 1)
        assert shown.shape == (400 + STRIP, 600, 3)
        np.testing.assert_array_equal(shown[STRIP:], frame)
        for line in (shown[: STRIP // 2], shown[STRIP // 2 : STRIP]):
            assert 0.005 < (line[..., 0] > 150).mean() < 0.5
        before = shown[:STRIP]
        window.show(frame, "Episode 1", "discard?")
        shown = pygame.surfarray.array3d(pygame.display.get_surface()).swapaxes(0, 1)
        assert (shown[:STRIP] != before).any()
        assert pygame.display.get_caption()[0] == "CartPole-v1: Episode 1"
        for width, height in ((1400, 800 + STRIP), (40, 20)):
            window._game.screen = pygame.display.set_mode((width, height), pygame.RESIZABLE)
            resized = [pygame.event.Event(pygame.WINDOWRESIZED, x=width, y=height)]
            monkeypatch.setattr(pygame.event, "get", lambda events=resized: events)
            for _ in range(2):
                window.show(frame, "Episode 1", "long " * 60)
            if width == 1400:
                shown = pygame.surfarray.array3d(pygame.display.get_surface()).swapaxes(0, 1)
                np.testing.assert_array_equal(shown[STRIP:, 100:-100], frame.repeat(2, axis=0).repeat(2, axis=1))
                assert not shown[STRIP:, :100].any()
                assert not shown[STRIP:, -100:].any()


def run_python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True).stdout


def test_matplotlib_is_left_as_it_was():
    code = """
import sys
from ilpyt.recording.window import play_module
play = play_module()
assert not [name for name in sys.modules if name.split(".")[0] == "matplotlib"], "imported where nobody had"
assert play.PlayableGame
try:
    import matplotlib
except ImportError:
    print("absent")
    sys.exit()
matplotlib.use("svg")
import matplotlib.pyplot
play_module()
assert sys.modules["matplotlib"] is matplotlib
print(matplotlib.get_backend())
matplotlib.use = print  # what gymnasium's own import calls
from gymnasium.utils.play import plt  # whoever needs it whole gets it whole
assert plt is matplotlib.pyplot
"""
    assert run_python(code).split() in (["svg", "TkAgg"], ["absent"])


def test_import_is_light():
    code = (
        "import sys, ilpyt.recording; print(sorted({'torch', 'pygame', 'gymnasium', 'matplotlib'} & set(sys.modules)))"
    )
    assert run_python(code).strip() == "[]"
