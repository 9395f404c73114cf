"""What every algorithm is: an experiment with an environment, an agent, a runner and a folder."""

import abc
import copy
import logging
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from ilpyt.agents.base_agent import BaseAgent
from ilpyt.algos.checks import check_agent_fits
from ilpyt.algos.identity import changes, describe, identify
from ilpyt.algos.loop import GoodWeights, Loop, threads_for
from ilpyt.algos.run_folder import CHECKPOINT, RUN_FILES, RunFolder
from ilpyt.envs.vec_env import VecEnv
from ilpyt.runners.experiences import Experiences
from ilpyt.runners.runner import Runner, evaluate
from ilpyt.runners.video import Film, check_video, write_video
from ilpyt.utils.checkpoint import atomic_write, check_like
from ilpyt.utils.errors import DataError, SaveError, TrainingError, TrainingInterrupted
from ilpyt.utils.interrupts import Interrupts
from ilpyt.utils.logger import CSVSink, Logger, Progress, Sink, TensorBoardSink, say
from ilpyt.utils.seed_utils import TEST_SEED, VALIDATION_SEED, get_random_state, set_random_state

log = logging.getLogger(__name__)

# Parts of a state whose size depends on how far training is, or on PyTorch's version.
CHECKED_BY_LOADERS = (
    "optimizers", "schedule", "random", "replay_memory", "demos", "samples", "proposals", "aggregate", "weights",
    "recent", "metrics", "due", "policies", "initial", "matching", "features",
)  # fmt: skip


class BaseAlgorithm(abc.ABC):
    """An experiment. Extend it by `train`, by `steps_done`, and by `make_agent` where an agent can be left out.

    Everything it writes lies in `save_path`: weights `<net>_<step>.pth`, `checkpoint.pt`, `progress.csv`, TensorBoard
    events, `config.json`, `test_results.npy`. If a former run lies there, its files are moved into a sub-folder
    `previous_1`, `previous_2`, ... when training begins, unless it is resumed.

    `train(..., resume=True)`, with the arguments of before, goes on from `checkpoint.pt`, which is written whenever
    weights are saved, and when Ctrl-C or SIGTERM end the training. Environments can't be saved: they begin new
    episodes.
    """

    agent_class: ClassVar[type] = BaseAgent  # what it trains

    def __init__(self, **kwargs: Any) -> None:
        """Set up the experiment; the arguments are `initialize`'s."""
        self.logger: Logger | None = None
        self._has_trained = self._has_tested = False
        self._parts: dict[str, Any] = {}
        self.recipe: dict[str, Any] | None = None  # how `make_algorithm` made it, for `config.json`
        self.initialize(**kwargs)

    def initialize(
        self,
        env: VecEnv,
        agent: BaseAgent | None = None,
        save_path: str | Path = "logs",
        load_path: str | Path = "",
        use_gpu: bool = False,
        *,
        progress: bool = True,
        sinks: Sequence[Sink] = (),
        video_interval: int | None = None,
    ) -> None:
        """Take environment and agent.

        Args:
            env: a vectorized environment, as `ilpyt.envs.build_env` makes it.
            agent: what to train or test; None: an agent that `make_agent` makes.
            save_path: the folder for everything that is written; made if it isn't there.
            load_path: a folder with weights to start from.
            use_gpu: run networks on the GPU.
            progress: show a progress bar and messages on stderr.
            sinks: where metrics are written to beside `progress.csv` and TensorBoard, such as a `WandbSink`.
            video_interval: steps, as the algorithm counts them in its log, between videos of an episode for TensorBoard
                and `sinks`; None: no videos.

        Raises:
            SaveError: `save_path` can't be written to.
            FileNotFoundError: no weights at `load_path`.
            DataError: those there are another network's, or the agent can't act in this environment.
            EnvError: videos are asked for, and this environment can't be drawn.
        """
        if not isinstance(env, VecEnv):
            raise TypeError(f"env must be a vectorized environment, as build_env makes it, got {type(env).__name__}")
        if agent is None:
            agent = self.make_agent(env)
        if not isinstance(agent, self.agent_class):
            raise TypeError(
                f"{type(self).__name__} trains agents of class {self.agent_class.__name__}, not {type(agent).__name__}"
            )
        if video_interval is not None and video_interval < 1:
            raise ValueError(f"video_interval must be at least 1, got {video_interval}")
        if use_gpu and not torch.cuda.is_available():
            raise TrainingError("use_gpu=True, but PyTorch finds no GPU; leave it out to run on the CPU")
        self.env = env
        self.agent = agent
        self.use_gpu = use_gpu
        wrong = [sink for sink in sinks if not isinstance(sink, Sink)]
        if wrong:
            raise TypeError(f"sinks are subclasses of ilpyt.utils.logger.Sink, not {type(wrong[0]).__name__}")
        self.progress = progress
        self.sinks = list(sinks)
        self.video_interval = video_interval
        self._video_due = 0
        self.save_path = Path(save_path)
        self._folder = RunFolder(self.save_path)
        agent.to_gpu() if use_gpu else agent.to_cpu()
        self._tests_own_run = bool(load_path) and Path(load_path).resolve() == self.save_path.resolve()
        if load_path:
            agent.load(load_path)
        check_agent_fits(agent, env)
        if video_interval is not None:
            Film(agent, env)  # an environment that can't be drawn is found now
        self.runner = Runner(env, agent, use_gpu)

    @classmethod
    def make_agent(cls, env: VecEnv, net: dict[str, Any] | None = None, **agent_kwargs: Any) -> BaseAgent:
        """An agent that fits an environment.

        Args:
            env: the vectorized environment.
            net: keywords of `choose_net` for its policy.
            agent_kwargs: keywords of the agent.
        """
        raise TypeError(f"{cls.__name__} needs an agent: {cls.__name__}(env=env, agent=...)")

    @abc.abstractmethod
    def train(self, *args: Any, **kwargs: Any) -> None:
        """Train the agent."""

    def test(self, num_episodes: int = 100, record_video: str | Path | None = None) -> list[float]:
        """Play test episodes with the greedy policy, and write their returns to `<save_path>/test_results.npy`.

        The episodes are played on environments of their own, episode k always with the same seed, so that agents are
        compared on the same episodes; training's environments, the agent's mode and all random numbers are left as
        they were.

        Args:
            num_episodes: number of episodes.
            record_video: an mp4 file, for the first three of them; no screen is needed.

        Returns:
            the undiscounted return of each.

        Raises:
            MissingExtraError, EnvError: a video was asked for, and can't be made.
            SaveError: results or video can't be written.
        """
        film = None
        if record_video is not None:  # what it lacks is said before the test
            check_video(record_video)
            film = Film(self.agent, self.env, min(3, num_episodes), use_gpu=self.use_gpu)
        if not (self._has_trained or self._has_tested or self._tests_own_run):
            self._move_aside("test_results.npy")
        self._has_tested = True
        returns = evaluate(self.agent, self.env, num_episodes, seed=TEST_SEED, use_gpu=self.use_gpu)
        with atomic_write(self.save_path / "test_results.npy") as file:
            np.save(file, np.array(returns))
        self.say(f"Test: {np.mean(returns):.2f} +/- {np.std(returns):.2f} over {num_episodes} episodes.")
        if record_video is not None and film is not None:
            write_video(record_video, film, film.fps)
            self.say(f"{record_video} shows the first {len(film.returns)} of them.")
        return returns

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Record metrics at a step, while training."""
        if self.logger is None:
            raise RuntimeError("log is for use inside `with self.training(...)`")
        self.logger.write(step, metrics)
        if self.video_interval is not None and step >= self._video_due:
            self._video_due = step + self.video_interval
            film = Film(self.agent, self.env, seed=VALIDATION_SEED, use_gpu=self.use_gpu)
            self.logger.show(step, *film.small())

    def say(self, text: str) -> None:
        """Print a line for the user, unless `progress` is off."""
        if self.progress:
            say(text)

    @contextmanager
    def training(
        self, total: int, unit: str, *, resume: bool = False, parts: Mapping[str, Any] | None = None, **config: Any
    ) -> Iterator[Loop]:
        """Around a train loop: opens the sinks before, saves the agent's weights after it, however it ended.

        Inside, small networks run on one thread of PyTorch: with two, an update of a 2 x 128 perceptron takes 1.7 times
        as long, and several times if the other core has something else to do.

        Args:
            total: steps that the progress bar counts up to.
            unit: what a step is.
            resume: go on from `checkpoint.pt`.
            parts: what the loop holds and resuming needs: objects with `state_dict` and `load_state_dict`, by name.
            config: what goes into `config.json`.

        Raises:
            FileNotFoundError: there is no checkpoint to resume from.
            DataError: it is broken, or of another algorithm, agent or environment.
        """
        self._good = GoodWeights(self.agent)
        bar, interrupts = Progress(total, unit, self.progress), Interrupts()
        loop = Loop(bar, interrupts, self._good, self.checkpoint)
        self._parts = {"loop": loop, **(parts or {})}
        try:
            with self._folder.locked(), self._logging(bar, resume, config):
                self.agent.set_train()
                try:
                    with threads_for(self.agent), interrupts.deferred():
                        yield loop
                        self._good.look()
                    if interrupts.pending is not None:  # it came in the last iteration
                        raise KeyboardInterrupt
                except Exception as error:
                    broken = self._good.restore()
                    if broken and broken not in str(error):  # it's what came of it, such as an action of nan
                        raise TrainingError(f"training can't go on: {broken}") from error
                    raise
                finally:
                    self._good.restore()
                    self.save()
        except KeyboardInterrupt:
            self.say(
                f"Interrupted; what was learnt is saved in {self.save_path}. resume=True (--resume) goes on with it."
            )
            raise TrainingInterrupted(interrupts.pending or signal.SIGINT) from None
        finally:
            self._parts = {}
            bar.close()

    @contextmanager
    def _logging(self, bar: Progress, resume: bool, config: Mapping[str, Any]) -> Iterator[None]:
        """Around a train loop: makes room for what it writes, or goes on from its checkpoint, and opens the sinks."""
        seconds, former = self._resume() if resume else (0.0, {})
        self._good.look()
        if not (resume or self._has_trained):  # a second `train` goes on in the same run
            self._move_aside(*RUN_FILES)
        self._has_trained = True
        self._config = describe(self, config)
        if resume:
            for change in changes(former, self._config):
                self.say(change)
        self._folder.write_config(self._config)
        table = CSVSink(self.save_path / "progress.csv")
        if resume:
            table.rewind(self.steps_done)
        events = TensorBoardSink(self.save_path, purge_step=self.steps_done + 1 if resume else None)
        self.logger = Logger([table, events, bar, *self.sinks], seconds)
        try:
            self.logger.describe(self._config)
            yield
        except BaseException:
            with suppress(SaveError):  # the first failure is the one to report
                self._stop_logging()
            raise
        self._stop_logging()

    def _stop_logging(self) -> None:
        logger, self.logger = self.logger, None
        if logger is not None:
            logger.close()

    def checkpoint(self) -> None:
        """Write all that resuming needs to `checkpoint.pt`; between two iterations of a train loop."""
        if self.logger is None:
            raise RuntimeError("checkpoint is for use inside `with self.training(...)`")
        self._good.look()
        content = {"seconds": self.logger.seconds, "state": self.state_dict(), "config": self._config}
        self._folder.write_checkpoint(identify(self), content)

    def state_dict(self) -> dict[str, Any]:
        """Everything that going on from here needs: of the agent, the counters, the random numbers, the train loop."""
        return {
            "agent": self.agent.state_dict(),
            "runner": self.runner.state_dict(),
            "parts": {name: part.state_dict() for name, part in self._parts.items()},
            "random": get_random_state(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        self.agent.load_state_dict(state["agent"])
        self.runner.load_state_dict(state["runner"])
        for name, part in self._parts.items():
            part.load_state_dict(state["parts"][name])
        set_random_state(state["random"])

    def _resume(self) -> tuple[float, dict[str, Any]]:
        """Go on from the checkpoint; the seconds that were spent before it, and what was asked for then."""
        checkpoint = self._folder.read_checkpoint(identify(self))
        own = copy.deepcopy(self.state_dict())
        try:
            check_like(checkpoint["state"], self.state_dict(), free=CHECKED_BY_LOADERS)
            self.load_state_dict(checkpoint["state"])
            seconds = float(checkpoint["seconds"])
        except Exception as error:
            self.load_state_dict(own)
            why = str(error) if isinstance(error, DataError) else f"{type(error).__name__}: {error}"
            raise DataError(f"{self._folder.path / CHECKPOINT} can't be gone on from: {why[:500]}") from error
        if self.runner.env_steps:
            self.runner.reset(int(np.random.randint(2**31)))
        self.say(f"Going on from {self.save_path}/{CHECKPOINT}, step {self.steps_done:,}.")
        return seconds, checkpoint["config"]

    def save(self) -> None:
        """Write the agent's weights, numbered with the progress made; in training, only if they are finite."""
        if self.logger is not None:
            self._good.look()
        self.agent.save(self.save_path, self.steps_done)

    @property
    @abc.abstractmethod
    def steps_done(self) -> int:
        """The progress made, which weights are numbered with; the algorithm says in what."""

    def load_demos(self, expert_demos: str | Path | Experiences | None) -> Experiences:
        """Demonstrations from a file, from 'minari:ID' or as they are, checked to be from an environment like this one.

        Raises:
            TypeError: there are none.
            FileNotFoundError: there is no such file.
            DataError: see `Experiences.fit_to`.
        """
        if expert_demos is None:
            raise TypeError(
                "train needs expert_demos (--expert-demos): a demonstration file, 'minari:ID', or Experiences"
            )
        if isinstance(expert_demos, Experiences):
            demos, source = expert_demos, "expert_demos"
        else:
            demos, source = Experiences.load(expert_demos), str(expert_demos)
        demos = demos.fit_to(self.env, source)
        recorded, own = (str(d.get("env_id", "")) for d in (demos.metadata, self.env.description))
        if recorded and _without_version(recorded) != _without_version(own):
            log.warning("%s was recorded in %s; spaces agree, so it is used for %s.", source, recorded, own)
        if not bool(demos.dones[-1]):
            log.warning("%s ends amid an episode; what is there of it counts as one.", source)
        return demos.to_gpu() if self.use_gpu else demos

    def _move_aside(self, *patterns: str) -> None:
        folder = self._folder.move_aside(*patterns)
        if folder is not None:
            self.say(f"{self.save_path} held files of a former run; they are in {folder} now.")


def _without_version(env_id: str) -> str:
    name = env_id.rpartition(":")[2]  # nor a module
    return name.rpartition("-v")[0] or name
