"""Where metrics, hyper-parameters and videos go."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from gymnasium.envs.classic_control import CartPoleEnv
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import ilpyt
from ilpyt.algos import BC, PPO
from ilpyt.runners import Experiences
from ilpyt.utils.errors import EnvError, SaveError
from ilpyt.utils.logger import Sink, WandbSink, as_gif, flat
from ilpyt.utils.seed_utils import set_seed


class Keep(Sink):
    """Keeps all it is given."""

    def __init__(self):
        self.configs, self.rows, self.videos, self.closed = [], [], [], 0

    def describe(self, config):
        self.configs.append(config)

    def write(self, step, metrics):
        self.rows.append((step, dict(metrics)))

    def show(self, step, frames, fps):
        self.videos.append((step, frames, fps))

    def close(self):
        self.closed += 1


def train(path="logs", **kwargs):
    set_seed(0)
    env = ilpyt.envs.build_env("CartPole-v1", num_env=4)
    algo = PPO(env=env, save_path=path, progress=False, **kwargs)
    algo.train(num_steps=1024, rollout_steps=32, log_interval=128)
    return algo


def test_a_sink_of_ones_own_gets_what_the_table_gets():
    sink = Keep()
    algo = train(sinks=[sink])
    assert sink.closed == 1
    (config,) = sink.configs
    assert config == json.loads(Path("logs/config.json").read_text())
    rows = Path("logs/progress.csv").read_text().splitlines()
    assert len(sink.rows) == len(rows) - 1 == 8
    assert rows[-1].split(",")[0] == str(sink.rows[-1][0]) == str(algo.steps_done)
    assert sink.videos == []


def test_a_sink_may_open_in_describe_what_it_closes():
    class Lines(Sink):
        def describe(self, config):
            self.file = open("lines.txt", "a")  # noqa: SIM115

        def write(self, step, metrics):
            self.file.write(f"{step}\n")

        def close(self):
            self.file.close()

    algo = train(sinks=[Lines()])
    algo.train(num_steps=512, rollout_steps=32, log_interval=128)
    assert Path("lines.txt").read_text().split() == [str(128 * k) for k in range(1, 13)]


def test_what_is_no_sink_is_refused():
    class Print:
        def write(self, step, metrics):
            print(step)

    with pytest.raises(TypeError, match="subclasses of ilpyt.utils.logger.Sink, not Print"):
        train(sinks=[Print()])


def test_videos_come_at_their_interval_and_leave_training_as_it_was():
    sink = Keep()
    filmed, plain = train("a", sinks=[sink], video_interval=500), train("b")
    assert [step for step, _, _ in sink.videos] == [128, 640]
    for name, net in filmed.agent.get_weights().items():
        for key, tensor in net.items():
            assert torch.equal(tensor, plain.agent.get_weights()[name][key])
    (event,) = Path("a").glob("events*")
    events = EventAccumulator(str(event)).Reload()
    images = events.Images("video")
    assert [image.step for image in images] == [128, 640]
    frames, fps = sink.videos[0][1:]
    with Image.open(io.BytesIO(images[0].encoded_image_string)) as gif:
        assert (gif.n_frames, gif.size) == (len(frames), (300, 200))
        assert gif.info["duration"] == pytest.approx(1000 / fps, abs=10)


def test_videos_of_what_cannot_be_drawn_are_refused_before_training():
    env = ilpyt.envs.build_env(CartPoleEnv, num_env=1)
    with pytest.raises(EnvError, match="pass render_mode='rgb_array'"):
        PPO(env=env, progress=False, video_interval=100)
    with pytest.raises(ValueError, match="video_interval must be at least 1, got 0"):
        PPO(env=env, progress=False, video_interval=0)


def test_tensorboard_has_the_hyper_parameters():
    train()
    (event,) = Path("logs").glob("events*")
    events = EventAccumulator(str(event)).Reload()
    content = events.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    for expected in (b"agent.lr", b"train.num_steps", b"env.env_id", b"CartPole-v1", b"PPOAgent"):
        assert expected in content
    assert b"episode/return" in events.summary_metadata["_hparams_/experiment"].plugin_data.content


def test_nested_settings_are_flat_names_with_numbers_or_text():
    tree = {"a": {"b": 1, "c": {"d": None}}, "e": True, "f": 0.5}
    assert dict(flat(tree)) == {"a.b": 1, "a.c.d": "None", "e": True, "f": 0.5}


def test_an_animation_has_its_frames_and_their_pace():
    frames = [np.full((8, 10, 3), level, np.uint8) for level in (0, 100, 200)]
    with Image.open(io.BytesIO(as_gif(frames, fps=20))) as gif:
        assert (gif.n_frames, gif.size, gif.info["duration"]) == (3, (10, 8), 50)


class FakeWandb:
    """Records what is asked of wandb's interface."""

    class Video:
        def __init__(self, path, format):  # noqa: A002
            with Image.open(path) as gif:
                self.n_frames, self.format = gif.n_frames, format

    class errors:
        class Error(Exception):
            """wandb's own."""

    def __init__(self):
        self.calls = []
        self.id = "abc"

    def init(self, **kwargs):
        self.calls.append(("init", kwargs))
        return self

    def log(self, values, step):
        self.calls.append(("log", step, values))

    def finish(self):
        self.calls.append(("finish",))


def test_weights_and_biases_gets_all_of_it_and_goes_on_in_the_same_run(monkeypatch):
    fake = FakeWandb()
    monkeypatch.setitem(__import__("sys").modules, "wandb", fake)
    env = ilpyt.envs.build_env("CartPole-v1", num_env=2)
    algo = BC(env=env, progress=False, sinks=[WandbSink(project="poles")], video_interval=100)
    demos = Experiences(np.random.randn(40, 4), np.tile([0, 1], 20), np.ones(40), np.arange(40) % 10 == 9)
    algo.train(num_epochs=2, expert_demos=demos, validation_fraction=0.25)
    algo.train(num_epochs=1, expert_demos=demos)
    kinds = [call[0] for call in fake.calls]
    assert kinds == ["init", "log", "log", "log", "finish", "init", "log", "finish"]
    first, second = (call[1] for call in fake.calls if call[0] == "init")
    assert (first["project"], first["config"]["algorithm"]) == ("poles", "BC")
    assert (second["id"], second["resume"]) == ("abc", "allow")
    logged = [call for call in fake.calls if call[0] == "log"]
    assert [step for _, step, _ in logged] == [1, 1, 2, 3]
    assert logged[0][2].keys() >= {"loss", "validation_loss", "seconds"}
    assert logged[1][2]["video"].n_frames > 1


def test_weights_and_biases_says_why_it_will_not(monkeypatch):
    fake = FakeWandb()
    monkeypatch.setattr(fake, "init", lambda **kwargs: (_ for _ in ()).throw(FakeWandb.errors.Error("no API key")))
    monkeypatch.setitem(__import__("sys").modules, "wandb", fake)
    with pytest.raises(SaveError, match="Weights & Biases can't begin a run: no API key; mode='offline'"):
        train(sinks=[WandbSink(project="poles")])


@pytest.mark.long
def test_weights_and_biases_itself_takes_a_run(tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_SILENT", "true")
    train(sinks=[WandbSink(project="poles", mode="offline", dir=str(tmp_path))], video_interval=500)
    (run,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    assert b"episode/return" in run.read_bytes()
