"""Saving that is killed, finds the disk full, or the folder read-only: the last good checkpoint is always there."""

import os
import random
import re
import resource
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest
import torch

from ilpyt.algos import PPO
from ilpyt.runners import Experiences
from ilpyt.utils.checkpoint import atomic_write, load_state, save_state
from ilpyt.utils.errors import SaveError
from tests.algos.test_resume import CASES, assert_same, learn, make, weights_of
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def demos():
    return Experiences.load(ROOT / "demos/CartPole-v0/demos.pkl")[:200]


# Forks, so that a kill costs milliseconds: the parent has one thread, and PyTorch is imported once.
KILLS = """
import os, random, signal, sys, time
import torch
from ilpyt.utils.checkpoint import load_state, save_state
torch.set_num_threads(1)
path, kills, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
rng = random.Random(seed)
def state(k):
    return {"k": k, "tensor": torch.full((300_000,), float(k)), "nested": {"list": [k] * 10}}
save_state(path, state(0))
last, advanced = 0, 0
for kill in range(kills):
    child = os.fork()
    if child == 0:
        k = last
        while True:
            k += 1
            save_state(path, state(k))
    time.sleep(rng.uniform(0, 0.03))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    loaded = load_state(path)
    k = loaded["k"]
    assert k >= last, (k, last)
    assert torch.equal(loaded["tensor"], torch.full((300_000,), float(k)))
    assert loaded["nested"] == {"list": [k] * 10}
    advanced += k > last
    last = k
halves = [name for name in os.listdir(os.path.dirname(path)) if name.endswith(".tmp")]
print(advanced, len(halves))
"""


@pytest.mark.timeout(1200)
def test_a_checkpoint_loads_whenever_the_saving_process_was_killed(tmp_path, scale, figures):
    kills = 200 * scale
    command = [sys.executable, "-c", KILLS, tmp_path / "checkpoint.pt", str(kills), str(random.randrange(2**31))]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    advanced, halves = map(int, done.stdout.split())
    figures.append(f"{kills} kills: {halves} amid a write, {advanced} after a new checkpoint; all loaded")
    assert advanced > kills / 4  # it did save in between
    assert halves > kills / 4  # and was killed amid it


TRAINING = """
import sys
from pathlib import Path
import torch
from tests.algos.test_resume import Experiences, learn, make
torch.set_num_threads(1)
name, folder = sys.argv[1:]
demos = Experiences.load("demos/CartPole-v0/demos.pkl")[:200]
algo = make(name, 0, Path(folder))
print("begins", flush=True)
learn(algo, demos, **({"num_epochs": 10**6, "save_interval": 1, "patience": 10**6} if name == "BC"
                      else {"num_steps": 10**9, "save_interval": 80}))
"""


def wait_for(file, process):
    """Until a process has written a file."""
    while not file.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


@pytest.mark.parametrize("name", ["BC", "PPO"])
@pytest.mark.timeout(600)
def test_a_killed_training_is_gone_on_with(name, demos, tmp_path, scale):
    for _ in range(3 * scale):
        folder = tmp_path / f"{random.random()}"
        training = subprocess.Popen(
            [sys.executable, "-c", TRAINING, name, folder], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT
        )
        training.stdout.readline()
        wait_for(folder / "checkpoint.pt", training)
        time.sleep(random.uniform(0, 0.5))
        training.kill()
        training.communicate()
        done = load_state(folder / "checkpoint.pt")["state"]
        done = done["epochs"] if name == "BC" else done["runner"]["env_steps"]
        more = {"num_epochs": done + 3, "patience": 10**6} if name == "BC" else {"num_steps": done + 240}
        algo = make(name, 0, folder)
        learn(algo, demos, resume=True, **more)
        assert algo.steps_done == done + (3 if name == "BC" else 240)
        assert not list(folder.glob(".*.tmp"))


@contextmanager
def full_disk(most=20_000):
    """No file can become larger than this; the operating system itself fails to write, as it does on a full disk."""
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)


@contextmanager
def read_only(folder):
    """Nothing can be written in a folder; also not by root, who is somebody else inside."""
    folder.chmod(0o555)
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)
        folder.chmod(0o755)


@contextmanager
def small_disk(folder):
    """A real file system that is full but for 100 kB."""
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("only root can mount a small disk; see the other cases")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def test_a_disk_that_is_really_full(tmp_path):
    with small_disk(tmp_path):
        save_state(tmp_path / "checkpoint.pt", {"x": torch.ones(1000)})
        with pytest.raises(SaveError, match=r"checkpoint.pt can't be written: No space left on device; what was there"):
            save_state(tmp_path / "checkpoint.pt", {"x": torch.zeros(100_000)})
        assert load_state(tmp_path / "checkpoint.pt")["x"].tolist() == [1.0] * 1000
        assert os.listdir(tmp_path) == ["checkpoint.pt"]


@pytest.mark.parametrize("how", ["full", "read-only"])
def test_a_write_that_fails_is_one_error_and_leaves_what_was_there(how, tmp_path):
    path = tmp_path / "file"
    with atomic_write(path) as file:
        file.write(b"before")
    why = "File too large" if how == "full" else "Permission denied"
    tmp_path.parent.chmod(0o755)
    with pytest.raises(SaveError, match=rf"file can't be written: {why}; what was there before is as it was"):
        with full_disk() if how == "full" else read_only(tmp_path), atomic_write(path) as file:
            file.write(b"x" * 10**6)
    assert path.read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["file"]


def test_an_error_of_the_writer_is_not_the_disks(tmp_path):
    with pytest.raises(ZeroDivisionError), atomic_write(tmp_path / "file"):
        1 / 0  # noqa: B018
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("when", ["checkpoint", "weights"])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # TensorBoard's writer
def test_training_on_a_full_disk_keeps_checkpoint_and_memory(name, when, demos, tmp_path, monkeypatch):
    """The second checkpoint, or the second weights, find it full. Afterwards what was learnt is saved after all."""
    algo = make(name, 0, tmp_path)
    owner, method = (algo, "checkpoint") if when == "checkpoint" else (algo, "save")
    original, calls, before = getattr(owner, method), iter(range(10**9)), {}

    def fails_the_second_time():
        if next(calls) != 1:
            return original()
        before.update(weights=weights_of(algo), file=(tmp_path / "checkpoint.pt").read_bytes())
        with full_disk(1000):
            return original()

    monkeypatch.setattr(owner, method, fails_the_second_time)
    with pytest.raises(SaveError, match=r"(checkpoint\.pt|\.pth) can't be written: File too large"):
        learn(algo, demos)
    assert (tmp_path / "checkpoint.pt").read_bytes() == before["file"]
    assert not list(tmp_path.glob(".*.tmp"))
    if name not in ("BC", "DAgger", "AppL", "GAIL", "DQN"):  # these go back to their best weights at the end
        assert_same(weights_of(algo), before["weights"])
    steps = algo.steps_done
    learn(algo, demos)  # there is room again: training goes on from memory
    assert algo.steps_done > steps
    resumed = make(name, 0, tmp_path)
    learn(resumed, demos, resume=True)
    assert resumed.steps_done >= algo.steps_done


def test_a_log_that_cant_be_written_is_the_same_error(demos, tmp_path, monkeypatch):
    algo = make("PPO", 0, tmp_path)
    original = algo.log

    def log(*args):
        with full_disk(100):
            original(*args)

    monkeypatch.setattr(algo, "log", log)
    with pytest.raises(SaveError, match=r"progress\.csv can't be written: File too large"):
        learn(algo, demos)
    monkeypatch.undo()
    learn(algo, demos)  # a row that was cut off doesn't disturb
    rows = (tmp_path / "progress.csv").read_text().splitlines()
    assert len({row.count(",") for row in rows}) == 1
    assert algo.steps_done > 640


def test_a_read_only_folder_is_an_error_before_training(tmp_path):
    folder = tmp_path / "runs"
    folder.mkdir()
    for parent in [tmp_path, *tmp_path.parents[:3]]:
        parent.chmod(0o755)
    algo = make("PPO", 0, tmp_path)
    with read_only(folder), pytest.raises(SaveError, match="runs' can't be written to: Permission denied"):
        PPO(agent=algo.agent, env=algo.env, save_path=folder, progress=False)


def test_two_trainings_dont_write_into_one_folder(demos, tmp_path):
    other = subprocess.Popen(
        [sys.executable, "-c", TRAINING, "BC", tmp_path], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT
    )
    other.stdout.readline()
    wait_for(tmp_path / "checkpoint.pt", other)
    algo = make("BC", 0, tmp_path)
    with pytest.raises(SaveError, match=f"another training is writing to {re.escape(str(tmp_path))}; give this one"):
        learn(algo, demos, resume=True)
    assert other.poll() is None
    other.kill()
    other.communicate()
    learn(algo, demos, resume=True, num_epochs=1)  # the lock is gone with its owner
    assert algo.epochs >= 1


def test_one_training_inside_another_is_refused_too(demos, tmp_path, monkeypatch):
    algo = make("PPO", 0, tmp_path)
    monkeypatch.setattr(algo, "checkpoint", lambda: learn(make("PPO", 0, tmp_path), demos))
    with pytest.raises(SaveError, match="another training is writing"):
        learn(algo, demos)
