"""Videos: what is in them, as ffmpeg reads them back."""

import os
import re
import subprocess
import sys
from functools import partial

import gymnasium
import numpy as np
import pytest

import ilpyt
from ilpyt.agents.heuristic_agent import CartPoleHeuristicAgent, HeuristicAgent
from ilpyt.runners import evaluate, record_video
from ilpyt.runners.video import Film, write_video
from ilpyt.utils.errors import EnvError, MissingExtraError, SaveError

imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg")


def read(path):
    """Size, frames a second, and frames float [T, H, W, 3] of a video."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-i", path, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    done = subprocess.run(command, capture_output=True, check=True)
    about = re.search(r"h264.*, (\d+)x(\d+).*, (\d+) fps", done.stderr.decode())
    width, height, fps = map(int, about.groups())
    return (width, height), fps, np.frombuffer(done.stdout, np.uint8).reshape(-1, height, width, 3).astype(float)


class Clock(gymnasium.Env):
    """Draws the time since its reset as a grey level; odd sizes."""

    metadata = {"render_modes": ["rgb_array"], "render_fps": 10}
    observation_space = gymnasium.spaces.Box(0, 100, (1,))
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, render_mode=None):
        self.render_mode = render_mode

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.time = 0
        self.length = 4 + (seed or 0) % 2
        return np.zeros(1, np.float32), {}

    def step(self, action):
        self.time += 1
        return np.full(1, self.time, np.float32), 1.0, self.time == self.length, False, {}

    def render(self):
        assert os.environ["SDL_VIDEODRIVER"] == "dummy"  # nothing looks for a screen
        return np.full((31, 45, 3), 40 * self.time, np.uint8)


class Idle(HeuristicAgent):
    def act(self, state):
        return state[:, 0].long() * 0


def test_a_video_shows_each_step_of_the_episodes_at_the_environments_speed(tmp_path, monkeypatch):
    monkeypatch.delenv("SDL_VIDEODRIVER", raising=False)
    env = ilpyt.envs.build_env(lambda: Clock("rgb_array"), num_env=3)
    returns = record_video(Idle(), env, tmp_path / "new" / "clock.mp4", num_episodes=2, seed=10)
    assert returns == [4, 5]
    size, fps, frames = read(tmp_path / "new" / "clock.mp4")
    assert fps == 10
    assert size == (46, 32)  # the next even ones
    levels = frames.mean((1, 2, 3))
    np.testing.assert_allclose(levels, [40, 80, 120, 160, 40, 80, 120, 160, 200], atol=3)
    assert "SDL_VIDEODRIVER" not in os.environ
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["clock.mp4"]


def test_a_recorded_test_shows_its_first_three_episodes_and_changes_nothing():
    env = ilpyt.envs.build_env(lambda: Clock("rgb_array"), num_env=2)
    algo = ilpyt.algos.BC(env=env, progress=False)
    plain = algo.test(5)
    assert algo.test(5, record_video="test.mp4") == plain
    assert len(read("test.mp4")[2]) == sum(plain[:3])
    algo.test(2, record_video="test.mp4")
    assert len(read("test.mp4")[2]) == sum(plain[:2])


def test_videos_are_of_the_wrapped_environment_and_of_workers_too(tmp_path):
    short = partial(gymnasium.wrappers.TimeLimit, max_episode_steps=30)
    with ilpyt.envs.build_env("CartPole-v0", num_env=2, vecenv_type="subproc", wrappers=[short]) as env:
        returns = record_video(CartPoleHeuristicAgent(), env, tmp_path / "pole.mp4", num_episodes=1)
        assert returns == evaluate(CartPoleHeuristicAgent(), env, 1) == [30]
    size, _, frames = read(tmp_path / "pole.mp4")
    assert size == (600, 400)
    assert len(frames) == returns[0]
    assert frames.std((0, 3)).max() > 10  # something moves


def test_small_films_leave_frames_and_pixels_out():
    env = ilpyt.envs.build_env("CartPole-v1", num_env=1)
    frames, fps = Film(CartPoleHeuristicAgent(), env).small(max_frames=10)
    assert len(frames) == 10
    assert {frame.shape for frame in frames} == {(200, 300, 3)}
    assert fps == 12


def test_a_film_can_be_shown_again():
    film = Film(Idle(), ilpyt.envs.build_env(lambda: Clock("rgb_array"), num_env=1), 2, seed=10)
    first = [frame.mean() for frame in film]
    assert film.returns == [4, 5]
    assert [frame.mean() for frame in film] == first
    assert film.returns == [4, 5]


def test_what_cannot_be_filmed_says_so(tmp_path, monkeypatch):
    env = ilpyt.envs.build_env(Clock, num_env=1)
    with pytest.raises(EnvError, match="Clock was made with render_mode=None .* pass render_mode='rgb_array'"):
        record_video(Idle(), env, tmp_path / "x.mp4")

    class Broken(Clock):
        def render(self):
            raise KeyError("pump")

    with pytest.raises(EnvError, match="failed in render: KeyError: 'pump'"):  # before anything is played
        Film(Idle(), ilpyt.envs.build_env(lambda: Broken("rgb_array"), num_env=1))
    drawing = ilpyt.envs.build_env(lambda: Clock("rgb_array"), num_env=1)
    with pytest.raises(ValueError, match=r"written as \.mp4, not as 'x\.gif'"):
        record_video(Idle(), drawing, tmp_path / "x.gif")
    with pytest.raises(ValueError, match="no frames"):
        write_video(tmp_path / "x.mp4", [], 30)
    (tmp_path / "file").write_text("")
    with pytest.raises(SaveError, match=r"x\.mp4 can't be written"):
        record_video(Idle(), drawing, tmp_path / "file" / "x.mp4", seed=0)
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    algo = ilpyt.algos.BC(env=drawing, progress=False)
    with pytest.raises(MissingExtraError, match=r"imageio_ffmpeg: pip install 'ilpyt\[video\]'"):
        algo.test(2, record_video=tmp_path / "x.mp4")
    assert not (tmp_path / "x.mp4").exists()
    assert not (tmp_path / "logs" / "test_results.npy").exists()  # it is said before the test


def test_an_episode_of_one_step_is_a_film_of_one_frame(tmp_path):
    class Bandit(Clock):
        def reset(self, *, seed=None, options=None):
            observation, info = super().reset(seed=seed)
            self.length = 1
            return observation, info

    env = ilpyt.envs.build_env(lambda: Bandit("rgb_array"), num_env=1)
    frames, _ = Film(Idle(), env).small()
    assert len(frames) == 1
    assert record_video(Idle(), env, tmp_path / "bandit.mp4", num_episodes=3) == [1, 1, 1]
    np.testing.assert_allclose(read(tmp_path / "bandit.mp4")[2].mean((1, 2, 3)), [40, 40, 40], atol=3)


def test_slow_environments_have_one_frame_a_second():
    class Slow(Clock):
        metadata = {"render_modes": ["rgb_array"], "render_fps": 0.4}

    assert Film(Idle(), ilpyt.envs.build_env(lambda: Slow("rgb_array"), num_env=1)).fps == 1


def test_frames_of_several_sizes_are_refused(tmp_path):
    frames = [np.zeros((8, 8, 3), np.uint8), np.zeros((8, 10, 3), np.uint8)]
    with pytest.raises(EnvError, match=r"frame 2 has shape \[8, 10, 3\], those before \[8, 8, 3\]"):
        write_video(tmp_path / "x.mp4", frames, 10)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of files")
def test_a_video_that_ffmpeg_could_not_finish_is_an_error(tmp_path):
    program = """
import resource, signal
import numpy as np
from ilpyt.runners.video import write_video
from ilpyt.utils.errors import SaveError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
frames = np.random.default_rng(0).integers(0, 255, (40, 64, 64, 3), dtype=np.uint8)
try:
    write_video("full.mp4", frames, 10)
except SaveError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert "full.mp4 can't be written: " in done.stdout, done.stderr
    assert list(tmp_path.iterdir()) == []
