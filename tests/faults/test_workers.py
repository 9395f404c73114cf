"""Environments in worker processes that die, hang, raise, or give what they may not give.

Each is a clear error within ten seconds that names the environment, and leaves nothing behind.
"""

import contextlib
import gc
import itertools
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from gymnasium import spaces

from ilpyt.agents import HeuristicAgent
from ilpyt.envs import DummyVecEnv, SubProcVecEnv
from ilpyt.envs import subproc_vec_env as subproc_module
from ilpyt.envs import worker as worker_module
from ilpyt.runners import evaluate
from ilpyt.utils.errors import EnvError
from tests.conftest import ROOT
from tests.counter import Counter
from tests.faults.faulty import Returns, boom, chatter, die, hang, make, nothing, starts_a_process

PLACES = ("start", "reset", "step", "render", "close")
TIMEOUT = 1.5
WITHIN = 10


def live(env_fns, kind=SubProcVecEnv, **kwargs):
    """Everything that is done with environments, from start to close."""
    env = kind(env_fns, seed=0, **kwargs)
    env.reset()
    for _ in range(3):
        env.step([0] * env.num_envs)
    env.render()
    env.close()


def children():
    """Processes that this one has started, ended ones that nobody has waited for too."""
    return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def all_end(pids, within=5):
    deadline = time.monotonic() + within
    while any(map(alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not any(map(alive, pids))


@pytest.fixture(autouse=True)
def nothing_is_left():
    """In the process table, among file descriptors (shared memory without a name is one), or in /dev/shm."""
    gc.collect()
    before = children(), len(os.listdir("/proc/self/fd")), set(os.listdir("/dev/shm"))
    yield
    gc.collect()
    assert (children(), len(os.listdir("/proc/self/fd")), set(os.listdir("/dev/shm"))) == before


DEATHS = [
    *[(place, die, r"was killed by SIGKILL") for place in PLACES],
    *[(place, hang, r"gave no answer in time") for place in PLACES],
    *[(place, partial(os._exit, 3), r"ended with exit code 3") for place in PLACES],
]


@pytest.mark.parametrize(("where", "fault", "message"), DEATHS)
def test_a_worker_that_dies_or_hangs_is_an_error_in_time(where, fault, message, figures):
    start = time.monotonic()
    with pytest.raises(EnvError, match=rf"environments? \d.*\(Faulty-v0\): .*worker process {message} in {where}"):
        live([make("", nothing), make(where, fault)], num_workers=1 + (where == "step"), timeout=TIMEOUT)
    took = time.monotonic() - start
    figures.append(f"worker, {where}, {message}: {took:.1f} s with a timeout of {TIMEOUT} s")
    assert took < WITHIN


WRONG = [
    ("start", boom, r"can't be made: ValueError: boom"),
    *[(place, boom, rf"failed in {place}: ValueError: boom") for place in PLACES[1:]],
    *[
        (place, lambda: np.zeros(3), rf"failed in {place}: .*shape \[3\]; its space says \[2\]")
        for place in PLACES[1:3]
    ],
    *[(place, lambda: 5.0, rf"failed in {place}: .*shape \[\]; its space says \[2\]") for place in PLACES[1:3]],
    *[(place, lambda: np.array(["a", "b"]), rf"failed in {place}: TypeError: .*<U1") for place in PLACES[1:3]],
    *[(place, lambda: np.array([1j, 0]), rf"failed in {place}: TypeError: .*complex128") for place in PLACES[1:3]],
    *[(place, lambda: np.array([{}, 0]), rf"failed in {place}: TypeError: .*object") for place in PLACES[1:3]],
    *[(place, lambda: np.array([0, np.nan]), r"returned nan in its observation\[1\]") for place in PLACES[1:3]],
    *[(place, lambda: np.array([1e300, 0]), r"returned inf in its observation\[0\]") for place in PLACES[1:3]],
    ("render", lambda: np.zeros((4, 4, 3)), r"failed in render: ValueError: it drew float64 \[4, 4, 3\]"),
    ("render", lambda: np.zeros((4, 4), np.uint8), r"failed in render: ValueError: it drew uint8 \[4, 4\]"),
    ("render", lambda: "picture", r"failed in render: ValueError: it drew str"),
]


@pytest.mark.parametrize("kind", [DummyVecEnv, SubProcVecEnv])
@pytest.mark.parametrize(("where", "fault", "message"), WRONG)
@pytest.mark.filterwarnings("ignore:overflow encountered in cast:RuntimeWarning")
def test_what_an_environment_may_not_do_is_an_error_that_names_it(kind, where, fault, message):
    kwargs = {"num_workers": 1} if kind is SubProcVecEnv else {}
    with pytest.raises(EnvError, match=rf"environment 1 \(Faulty-v0\) {message}"):
        live([make("", nothing), make(where, fault)], kind, **kwargs)


@pytest.mark.parametrize("kind", [DummyVecEnv, SubProcVecEnv])
@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (1, None, "reward|float"),
        (1, "much", "could not convert string to float"),
        (1, 1j, "complex"),
        (1, np.zeros(2), "sequence"),
        (1, np.nan, "returned nan in its reward"),
        (1, -np.inf, "returned -inf in its reward"),
        (2, 0.5, "its 'terminated' flag is 0.5"),
        (2, "yes", "its 'terminated' flag is 'yes'"),
        (2, 1.0, "its 'terminated' flag is 1.0"),
        (3, None, "its 'truncated' flag is None"),
        (3, {}, "its 'truncated' flag is {}"),
        (3, [True, False], "its 'truncated' flag is"),
    ],
)
def test_rewards_and_flags_are_numbers_and_truth_values(kind, place, value, message):
    env = kind(
        [lambda: Returns(1, 1.0), lambda: Returns(place, value)],
        **({"num_workers": 1} if kind is SubProcVecEnv else {}),
    )
    env.reset()
    with pytest.raises(EnvError, match=rf"environment 1 \(Returns\).*({message})"):
        env.step([0, 0])


@pytest.mark.parametrize("value", [True, np.True_, 1, np.array([True]), np.int8(1)])
def test_any_truth_value_is_a_flag(value):
    with DummyVecEnv([lambda: Returns(2, value)]) as env:
        env.reset()
        assert env.step([0])[2].tolist() == [True]


def test_images_of_another_dtype_are_refused_not_cut_off():
    class Image(Counter):
        def __init__(self):
            super().__init__()
            self.observation_space = spaces.Box(0, 255, (4, 4, 3), np.uint8)

        def observe(self):
            return np.full((4, 4, 3), 0.5)

    with pytest.raises(EnvError, match="environment 0 .*its observation is float64; uint8 was expected"):
        DummyVecEnv([Image]).reset()


def test_printing_goes_to_stdout_and_disturbs_nothing(capfd):
    live([make(place, chatter) for place in PLACES], num_workers=2)
    assert capfd.readouterr().out.split() == ["chatter"] * (1 + 1 + 3 + 1 + 1)


SCRIPT = """
import sys, time
from tests.faults.faulty import make, hang
from tests.faults.test_workers import live
from ilpyt.envs import SubProcVecEnv, subproc_vec_env
subproc_vec_env.CLOSE_WITHIN = 600
original = subproc_vec_env._WorkerProcess.__init__
def started(self, *args):
    original(self, *args)
    print(self.process.pid, flush=True)
subproc_vec_env._WorkerProcess.__init__ = started
where = sys.argv[1]
live([make(where, hang)] * 2, num_workers=2)
"""


@pytest.mark.parametrize("where", PLACES)
def test_nothing_is_left_when_the_parent_is_killed(where):
    parent = subprocess.Popen([sys.executable, "-c", SCRIPT, where], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    pids = [int(parent.stdout.readline()) for _ in range(2)]
    time.sleep(1.5)  # until they hang
    assert all(map(alive, pids))
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert all_end(pids)


@pytest.mark.parametrize("end", ["close", "hang", "garbage"])
def test_what_an_environment_has_started_ends_with_it(end, tmp_path):
    file = tmp_path / "pid"
    env = SubProcVecEnv([make("start", partial(starts_a_process, str(file)))], timeout=5)
    simulator = int(file.read_text())
    assert alive(simulator)
    if end == "close":
        env.close()
    elif end == "hang":
        os.kill(env._workers[0].process.pid, signal.SIGSTOP)
        with pytest.raises(EnvError, match="gave no answer in time in reset"):
            env.reset()
    del env
    gc.collect()
    assert all_end([simulator])


def memory():
    """Of this process in MB, what it shares with others left out."""
    fields = dict(line.split(":", 1) for line in Path("/proc/self/smaps_rollup").read_text().splitlines()[1:])
    return (int(fields["Private_Dirty"].split()[0]) + int(fields["Private_Clean"].split()[0])) / 1024


@pytest.mark.parametrize("kind", [DummyVecEnv, SubProcVecEnv])
@pytest.mark.timeout(1500)
def test_opening_and_closing_leaks_nothing(kind, scale, figures):
    kwargs = {"num_workers": 1} if kind is SubProcVecEnv else {}
    live([Counter.rendered] * 2, kind, **kwargs)
    gc.collect()
    before = len(os.listdir("/proc/self/fd")), children(), memory()
    gc.disable()  # what is closed is let go of at once, not when garbage is next collected
    try:
        for _ in range(200 * scale):
            live([Counter.rendered] * 2, kind, **kwargs)
        assert (len(os.listdir("/proc/self/fd")), children()) == before[:2]
    finally:
        gc.enable()
    gc.collect()
    grew = memory() - before[2]
    figures.append(f"{200 * scale} times opened and closed, {kind.__name__}: {grew:+.2f} MB, no descriptor, no process")
    assert grew < 1.0


def interrupted_at(number, files):
    """A trace function that raises KeyboardInterrupt at the `number`-th instruction in some files."""
    count = itertools.count()

    def trace(frame, event, _):
        if frame.f_code.co_filename not in files:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode" and next(count) == number:
            sys.settrace(None)
            raise KeyboardInterrupt
        return trace

    return trace


def test_an_interrupt_at_any_instruction_leaves_environments_right_or_closed(scale, figures):
    """Ctrl-C between any two instructions of the exchange of messages: no reply is ever taken for another one's."""
    files = {subproc_module.__file__, worker_module.__file__}
    outcomes = {"goes on": 0, "closed": 0}
    stride = 1 if scale > 1 else 3  # instructions between two interrupts
    env, number, was_interrupted = None, np.random.default_rng().integers(stride), True
    while was_interrupted:
        if env is None:
            env = SubProcVecEnv([lambda: Counter(length=10**6)] * 2, num_workers=2)
            env.reset()
        former = sys.gettrace()
        sys.settrace(interrupted_at(number, files))
        try:
            env.step([0, 0])
            was_interrupted = False
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(former)
        with contextlib.suppress(EnvError):
            first = env.reset()
            assert first[0, 1] == 0
            episode = first[0, 0]
            for t in range(1, 4):
                assert env.step([0, 0])[0].tolist() == [[episode, t], [episode, t]]
            outcomes["goes on"] += 1
            number += stride
            continue
        assert env._closed
        outcomes["closed"] += 1
        env = None
        number += stride
    env.close()
    figures.append(f"interrupts at every {stride}. of {number} instructions: {outcomes}")
    assert number > 200
    assert outcomes["goes on"] > outcomes["closed"] > 0


@pytest.mark.parametrize("kind", [DummyVecEnv, SubProcVecEnv])
def test_a_nan_isnt_hidden_by_what_fails_after_it(kind):
    class NanThenBoom(Counter):
        def step(self, action):
            return np.array([0, np.nan]), 0.0, False, False, {}

        def close(self):
            raise ValueError("gone")

    env = kind([NanThenBoom])
    env.reset()
    with pytest.raises(EnvError, match=r"returned nan in its observation\[1\]"):
        env.step([0])


def test_an_evaluation_keeps_the_timeout():
    with SubProcVecEnv([Counter], timeout=TIMEOUT) as env:
        env.env_fns = [make("step", hang)]
        with pytest.raises(EnvError, match="gave no answer in time in step"):
            evaluate(ConstantAgent(), env, 1)


def test_whole_numbers_are_images_if_they_are_in_range():
    class Image(Counter):
        top = 255

        def __init__(self):
            super().__init__()
            self.observation_space = spaces.Box(0, 255, (1, 1, 3), np.uint8)

        def observe(self):
            return np.full((1, 1, 3), self.top if self.t == 2 else 7, np.int64)

    with DummyVecEnv([Image]) as env:
        assert env.reset().tolist() == [[[[7, 7, 7]]]]
        assert env.step([0])[0].dtype == np.uint8
        assert env.step([0])[0].max() == 255
    Image.top = 256
    with DummyVecEnv([Image]) as env:
        env.reset()
        env.step([0])
        with pytest.raises(EnvError, match="its observation is int64; uint8 was expected"):
            env.step([0])


class ConstantAgent(HeuristicAgent):
    """Always does the same."""

    def act(self, states):
        return torch.zeros(len(states), dtype=torch.int64)
