"""What all algorithms share: folders, tests, interrupts, and arguments that don't fit."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

import ilpyt
from ilpyt.agents import ImitationAgent
from ilpyt.algos import BC, BaseAlgorithm
from ilpyt.nets import choose_net
from ilpyt.runners import Experiences
from ilpyt.utils.errors import DataError
from tests.conftest import ROOT

DEMOS = ROOT / "demos/CartPole-v0/demos.pkl"


@pytest.fixture(scope="module")
def env():
    with ilpyt.envs.build_env("CartPole-v0", num_env=2) as env:
        yield env


@pytest.fixture(scope="module")
def demos():
    return Experiences.load(DEMOS)[:600]


class AnyAgent(BaseAlgorithm):
    """Tests any agent, and trains none."""

    steps_done = 0

    def train(self):
        raise NotImplementedError


def agent(env, **kwargs):
    return ImitationAgent(choose_net(env, **kwargs))


def test_a_run_leaves_weights_curves_configuration_and_results(env, demos):
    algo = BC(agent=agent(env), env=env, progress=False, save_path="run")
    algo.train(3, 64, demos, early_stopping=False, save_interval=2)
    returns = algo.test(5)
    names = {p.name.split(".vm")[0].split(".tfevents")[0] for p in Path("run").iterdir()}
    files = {"checkpoint.pt", "config.json", "events.out", "net_2.pth", "net_3.pth", "progress.csv", "test_results.npy"}
    assert names == files
    assert np.load("run/test_results.npy").tolist() == returns
    assert len(returns) == 5
    config = json.loads(Path("run/config.json").read_text())
    assert config["algorithm"] == "BC"
    assert config["env"]["env_id"] == "CartPole-v0"
    assert config["train"]["batch_size"] == 64
    assert config["versions"]["torch"] == torch.__version__
    assert config["agent"] == {"class": "ImitationAgent", "lr": 0.001, "max_grad_norm": None}


def test_tensorboard_gets_the_metrics(env, demos):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    BC(agent=agent(env), env=env, progress=False).train(3, 64, demos, validation_fraction=0.4)
    events = EventAccumulator("logs").Reload()
    assert {"loss", "validation_loss"} <= set(events.Tags()["scalars"])
    assert [e.step for e in events.Scalars("loss")] == [1, 2, 3]


def test_a_former_run_is_moved_aside_and_nothing_is_lost(env, demos, capsys):
    def run(epochs):
        BC(agent=agent(env), env=env, save_path="run").train(epochs, 64, demos, early_stopping=False)

    run(2)
    Path("run/notes.txt").write_text("mine")
    first = Path("run/net_2.pth").read_bytes()
    capsys.readouterr()
    run(1)
    assert "run held files of a former run; they are in run/previous_1 now" in capsys.readouterr().err
    assert Path("run/previous_1/net_2.pth").read_bytes() == first
    assert len(Path("run/previous_1/progress.csv").read_text().splitlines()) == 3
    assert len(Path("run/progress.csv").read_text().splitlines()) == 2
    assert Path("run/notes.txt").exists()
    run(1)
    assert Path("run/previous_2/net_1.pth").exists()


def test_weights_without_a_run_around_them_are_moved_aside_too(env, demos):
    agent(env).save("run", 300)
    Path("run/resnet.pth").touch()
    BC(agent=agent(env), env=env, progress=False, save_path="run").train(1, 64, demos, early_stopping=False)
    assert Path("run/previous_1/net_300.pth").exists()
    assert Path("run/resnet.pth").exists()
    assert agent(env).load("run") == 1


def test_testing_something_else_keeps_a_former_runs_results(env, demos):
    algo = BC(agent=agent(env), env=env, progress=False)
    algo.train(1, 64, demos)
    returns = algo.test(3)
    AnyAgent(agent=ilpyt.agents.CartPoleHeuristicAgent(), env=env, progress=False).test(2)
    assert np.load("logs/previous_1/test_results.npy").tolist() == returns
    assert np.load("logs/test_results.npy").tolist() == [200.0, 200.0]
    assert Path("logs/net_1.pth").exists()


def test_what_was_learnt_is_saved_even_if_a_sink_fails(env, demos, monkeypatch):
    monkeypatch.setattr(ilpyt.utils.logger.TensorBoardSink, "close", lambda self: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        BC(agent=agent(env), env=env, progress=False).train(1, 64, demos)
    assert Path("logs/net_1.pth").exists()


def test_log_is_for_training_only(env, demos):
    algo = BC(agent=agent(env), env=env, progress=False)
    algo.train(1, 64, demos)
    with pytest.raises(RuntimeError, match="inside `with self.training"):
        algo.log(5, {"loss": 1.0})


def test_a_second_train_goes_on_in_the_same_run(env, demos):
    algo = BC(agent=agent(env), env=env, progress=False)
    for _ in range(2):
        algo.train(2, 64, demos, early_stopping=False)
    steps = [line.split(",")[0] for line in Path("logs/progress.csv").read_text().splitlines()]
    assert steps == ["step", "1", "2", "3", "4"]
    assert not Path("logs/previous_1").exists()


def test_load_path_brings_the_weights_back_also_from_the_own_save_path(env, demos):
    algo = BC(agent=agent(env), env=env, progress=False)
    algo.train(2, 64, demos)
    returns = algo.test(3)
    again = BC(agent=agent(env), env=env, progress=False, load_path="logs")
    assert again.test(3) == returns
    for p, q in zip(algo.agent.net.parameters(), again.agent.net.parameters(), strict=True):
        assert torch.equal(p, q)


def test_testing_changes_nothing_in_training(env, demos):
    results = []
    for test in (False, True):
        torch.manual_seed(0)
        algo = BC(agent=agent(env), env=env, progress=False)
        algo.train(2, 64, demos)
        if test:
            algo.test(3)
        algo.train(2, 64, demos)
        results.append([p.clone() for p in algo.agent.net.parameters()])
    assert all(torch.equal(p, q) for p, q in zip(*results, strict=True))


def test_returns_of_a_test_are_the_environments_own(env):
    algo = AnyAgent(agent=ilpyt.agents.CartPoleHeuristicAgent(), env=env, progress=False)
    assert algo.test(3) == [200.0, 200.0, 200.0]
    with pytest.raises(ValueError, match="at least 1, got 0"):
        algo.test(0)


@pytest.mark.parametrize("where", ["file", "file/below", "/proc/nowhere"])
def test_a_folder_that_cant_be_written_is_an_error_at_once(where, env):
    Path("file").write_text("not a folder")
    with pytest.raises(OSError, match="save_path '.*' can't be written to"):
        BC(agent=agent(env), env=env, save_path=where)
    assert Path("file").read_text() == "not a folder"


def test_arguments_that_dont_fit_are_errors_at_once(env):
    with pytest.raises(TypeError, match="env must be a vectorized environment"):
        BC(agent=agent(env), env="CartPole-v0")
    with pytest.raises(TypeError, match="trains agents of class ImitationAgent, not Net1D"):
        BC(agent=choose_net(env), env=env)
    with pytest.raises(
        DataError, match=r"the policy of ImitationAgent fails on the states of CartPole-v0, of shape \[4\]"
    ):
        BC(agent=agent(env, input_shape=7), env=env)
    with pytest.raises(DataError, match=r"the policy .* fails on the states of CartPole-v0.*values, not actions"):
        BC(agent=agent(env, output_shape=2), env=env)
    with ilpyt.envs.build_env("MountainCarContinuous-v0", num_env=1) as continuous:
        with pytest.raises(DataError, match="policy of 2 outputs, but MountainCarContinuous-v0 has 1 actions"):
            BC(agent=agent(env, input_shape=2), env=continuous)
        with pytest.raises(DataError, match=r"gives actions of shape \[\], but MountainCarContinuous-v0 takes \[1\]"):
            AnyAgent(agent=ilpyt.agents.MountainCarHeuristicAgent(), env=continuous)
    with pytest.raises(FileNotFoundError, match=r"nowhere has no net_<step>.pth to load; it has no weights"):
        BC(agent=agent(env), env=env, load_path="nowhere")


@pytest.mark.skipif(torch.cuda.is_available(), reason="for machines without a GPU")
def test_a_gpu_that_isnt_there_is_an_error(env):
    with pytest.raises(RuntimeError, match="finds no GPU"):
        BC(agent=agent(env), env=env, use_gpu=True)


@pytest.mark.parametrize("vecenv_type", ["dummy", "subproc"])
def test_ctrl_c_is_one_line_saves_what_was_learnt_and_exits_with_130(vecenv_type, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import ilpyt\n"
        "from ilpyt.agents.imitation_agent import ImitationAgent\n"
        "from ilpyt.algos.bc import BC\n"
        f"env = ilpyt.envs.build_env('CartPole-v0', num_env=2, vecenv_type='{vecenv_type}')\n"
        "agent = ImitationAgent(net=ilpyt.nets.choose_net(env), lr=0.0001)\n"
        f"BC(agent=agent, env=env).train(num_epochs=10**6, expert_demos={str(DEMOS)!r}, early_stopping=False)\n"
    )
    process = subprocess.Popen(
        [sys.executable, script],
        stderr=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background job would ignore it
    )
    progress = tmp_path / "logs/progress.csv"
    deadline = time.monotonic() + 60
    while not (progress.exists() and len(progress.read_text().splitlines()) > 2) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    err = process.communicate(timeout=30)[1]
    assert process.returncode == 130
    lines = [line for line in err.replace("\r", "\n").splitlines() if line.strip() and "epoch" not in line]
    assert lines == ["Interrupted; what was learnt is saved in logs. resume=True (--resume) goes on with it."]
    (saved,) = (tmp_path / "logs").glob("net_*.pth")
    assert int(saved.stem.split("_")[1]) >= 2
    os.chdir(tmp_path)
    with ilpyt.envs.build_env("CartPole-v0", num_env=1) as env:
        ImitationAgent(choose_net(env)).load("logs")


def test_small_networks_train_on_one_thread_and_the_number_is_restored(env, demos, monkeypatch):
    seen = []
    original = ImitationAgent.update
    monkeypatch.setattr(
        ImitationAgent, "update", lambda self, b: seen.append(torch.get_num_threads()) or original(self, b)
    )
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        for hidden_sizes in ((8,), (800, 800)):
            BC(agent=agent(env, hidden_sizes=hidden_sizes), env=env, progress=False).train(1, 600, demos)
            assert torch.get_num_threads() == 2
        assert seen == [1, 2]
    finally:
        torch.set_num_threads(before)


def test_a_test_before_training_doesnt_let_training_overwrite_a_former_run(env, demos):
    BC(agent=agent(env), env=env, progress=False).train(1, 64, demos)
    former = Path("logs/net_1.pth").read_bytes()
    algo = BC(agent=agent(env), env=env, progress=False)
    algo.test(2)
    algo.train(1, 64, demos)
    assert Path("logs/previous_1/net_1.pth").read_bytes() == former
