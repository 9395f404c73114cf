"""An agent's episodes as a video."""

import os
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ilpyt.runners.runner import Runner
from ilpyt.utils.errors import EnvError, SaveError
from ilpyt.utils.extras import require
from ilpyt.utils.seed_utils import TEST_SEED, preserved_random_state

if TYPE_CHECKING:
    from ilpyt.agents import BaseAgent
    from ilpyt.envs import DummyVecEnv, VecEnv

DEFAULT_FPS = 30  # frames a second, of environments that don't say


class Film:
    """Frames uint8 [H, W, 3] of an agent acting greedily, as they are drawn.

        film = Film(agent, env, num_episodes=3)
        write_video("episodes.mp4", film, film.fps)

    Attributes:
        returns: the undiscounted return of each episode so far.
        fps: frames a second at which the environment says it runs, at least 1.
    """

    def __init__(
        self,
        agent: "BaseAgent",
        env: "VecEnv",
        num_episodes: int = 1,
        *,
        seed: int = TEST_SEED,
        render_mode: str = "rgb_array",
        use_gpu: bool = False,
    ) -> None:
        """Nothing is played yet.

        Args:
            agent: the agent.
            env: whose first environment is made again, to draw; it itself isn't touched.
            num_episodes: number of episodes; number k is played with environment seed `seed + k`.
            seed: the first episode's; the default's are the test episodes.
            render_mode: 'human': in a window instead, and without frames.
            use_gpu: hand states to the agent on the GPU.

        Raises:
            EnvError: the environment can't be drawn.
        """
        self.fps = DEFAULT_FPS
        self.returns = [0.0] * num_episodes
        self._agent, self._env, self._seed = agent, env, seed
        self._render_mode, self._use_gpu = render_mode, use_gpu
        with _no_screen(render_mode), preserved_random_state(), self._drawing() as own:
            if render_mode != "human":
                own.reset(seed)
                own.render()  # what it lacks for that is said now
            self.fps = max(1, round(own.envs[0].metadata.get("render_fps") or DEFAULT_FPS))

    def __iter__(self) -> Iterator[np.ndarray]:
        """Play; the frame after each step."""
        seeds = [[self._seed + k for k in range(len(self.returns))]]
        self.returns = [0.0] * len(self.returns)
        with _no_screen(self._render_mode), preserved_random_state(), self._agent.test_mode(), self._drawing() as own:
            steps = Runner(own, self._agent, self._use_gpu).play_steps(len(self.returns), seeds)
            for k, _, (_, _, rewards, dones, _) in steps:
                self.returns[k] += float(rewards[0])
                if self._render_mode != "human":
                    yield own.envs[0].get_wrapper_attr("last_frame") if dones[0] else own.render()[0]

    def _drawing(self) -> "DummyVecEnv":
        from ilpyt.envs import drawing_env

        return drawing_env(self._env, self._render_mode)

    def small(self, max_frames: int = 250, max_width: int = 320, every: int = 4) -> tuple[list[np.ndarray], int]:
        """A few of the frames, of less size, for a log; and how many of them make a second."""
        frames: list[np.ndarray] = []
        for frame in islice(self, 0, max_frames * every, every):
            step = -(-frame.shape[1] // max_width)
            frames.append(np.ascontiguousarray(frame[::step, ::step]))
        return frames, max(1, self.fps // every)


@contextmanager
def _no_screen(render_mode: str) -> Iterator[None]:
    """Inside, environments that draw by pygame don't look for a screen, which they would complain about."""
    if render_mode == "human" or "SDL_VIDEODRIVER" in os.environ:
        yield
        return
    os.environ["SDL_VIDEODRIVER"] = "dummy"
    try:
        yield
    finally:
        del os.environ["SDL_VIDEODRIVER"]


def record_video(
    agent: "BaseAgent",
    env: "VecEnv",
    path: str | Path,
    num_episodes: int = 3,
    *,
    seed: int = TEST_SEED,
    use_gpu: bool = False,
) -> list[float]:
    """Play episodes greedily and write them to an mp4 file; no screen is needed.

    Args:
        agent: the agent.
        env: whose first environment is made again, to draw; it itself isn't touched.
        path: the file, '....mp4'.
        num_episodes: number of episodes; number k is played with environment seed `seed + k`.
        seed: the first episode's; the default's are those of `evaluate`.
        use_gpu: hand states to the agent on the GPU.

    Returns:
        the undiscounted return of each.

    Raises:
        MissingExtraError: imageio-ffmpeg isn't installed.
        EnvError: the environment can't be drawn.
        SaveError: the file can't be written.
    """
    film = Film(agent, env, num_episodes, seed=seed, use_gpu=use_gpu)
    write_video(path, film, film.fps)
    return film.returns


def write_video(path: str | Path, frames: Iterable[np.ndarray], fps: int) -> None:
    """Write frames uint8 [H, W, 3] to an mp4 file (H.264), which appears whole or not at all.

    Raises:
        MissingExtraError: imageio-ffmpeg isn't installed.
        ValueError: another suffix, or no frames.
        EnvError: frames of several sizes.
        SaveError: the file can't be written.
    """
    path = Path(path)
    ffmpeg = check_video(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.stem}.") as folder:
            unfinished = Path(folder) / path.name
            written = _write(ffmpeg, unfinished, frames, fps)
            if not written:
                raise ValueError(f"there are no frames to write to {path}")
            if _count(ffmpeg, unfinished) != written:  # ffmpeg doesn't say so by itself
                raise SaveError(f"{path} can't be written: ffmpeg failed, perhaps since the disk is full")
            os.replace(unfinished, path)
    except SaveError:
        raise
    except OSError as error:
        raise SaveError(f"{path} can't be written: {error.strerror or error}") from error


def _write(ffmpeg: Any, path: Path, frames: Iterable[np.ndarray], fps: int) -> int:
    """Write frames; how many there were."""
    writer: Any = None
    shape: tuple[int, ...] = ()
    count = 0
    try:
        for count, frame in enumerate(frames, 1):
            height, width = (size + size % 2 for size in frame.shape[:2])  # H.264 takes even sizes only
            if writer is None:
                shape = frame.shape
                writer = ffmpeg.write_frames(str(path), (width, height), fps=fps, macro_block_size=1, quality=8)
                writer.send(None)
            if frame.shape != shape:
                raise EnvError(f"frame {count} has shape {list(frame.shape)}, those before {list(shape)}")
            padding = [(0, height - shape[0]), (0, width - shape[1]), (0, 0)]
            writer.send(np.ascontiguousarray(np.pad(frame, padding, mode="edge")))
    finally:
        if writer is not None:
            writer.close()
    return count


def _count(ffmpeg: Any, path: Path) -> int:
    """The frames of a video; 0 if it is broken."""
    try:
        return int(ffmpeg.count_frames_and_secs(str(path))[0])
    except (OSError, RuntimeError):
        return 0


def check_video(path: str | Path) -> Any:
    """Whether a video can be written there, before what it shows is made; the package that does it.

    Raises:
        MissingExtraError: imageio-ffmpeg isn't installed.
        ValueError: another suffix.
    """
    if Path(path).suffix != ".mp4":
        raise ValueError(f"videos are written as .mp4, not as {Path(path).name!r}")
    return require("imageio_ffmpeg", "video")
