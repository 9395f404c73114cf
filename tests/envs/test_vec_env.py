"""The contract of a vectorized environment, for both kinds."""

import contextlib
import gc
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

import ilpyt
from ilpyt.envs import DummyVecEnv, SubProcVecEnv
from ilpyt.envs.subproc_vec_env import find_place
from ilpyt.envs.worker import Channel
from ilpyt.utils.errors import EnvError
from tests.conftest import PAPER_ENV_IDS
from tests.counter import Counter

BOTH = pytest.mark.parametrize("kind", [DummyVecEnv, SubProcVecEnv])


def play(env, steps, seed=0):
    """Everything that random actions bring about."""
    rng = np.random.default_rng(seed)
    yield env.reset()
    for _ in range(steps):
        if env.type == "discrete":
            actions = rng.integers(0, env.num_actions, env.num_envs)
        else:
            actions = rng.normal(size=(env.num_envs, env.num_actions))
        states, rewards, dones, infos = env.step(actions)
        yield from (states, rewards, dones, infos["terminated"], infos["truncated"], infos["final_states"])


@pytest.mark.parametrize("env_id", [*PAPER_ENV_IDS, "CarRacing-v3"])
def test_dummy_and_subproc_are_bit_identical(env_id):
    steps = 20 if env_id == "CarRacing-v3" else 250
    with (
        ilpyt.envs.build_env(env_id, num_env=5, seed=3) as dummy,
        ilpyt.envs.build_env(env_id, num_env=5, seed=3, vecenv_type="subproc") as subproc,
    ):
        assert dummy.description == subproc.description
        assert (dummy.observation_space, dummy.action_space) == (subproc.observation_space, subproc.action_space)
        for a, b in zip(play(dummy, steps), play(subproc, steps), strict=True):
            assert a.dtype == b.dtype
            np.testing.assert_array_equal(a, b)


@BOTH
def test_states_rewards_and_flags_are_as_the_environments_gave_them(kind):
    with kind([lambda n=n: Counter(length=n) for n in (2, 3)]) as env:
        np.testing.assert_array_equal(env.reset(), [[0, 0], [0, 0]])
        states, rewards, dones, infos = env.step([0, 0])
        np.testing.assert_array_equal(states, [[0, 1], [0, 1]])
        assert states.dtype == rewards.dtype == np.float32
        assert rewards.tolist() == [1, 1]
        assert not dones.any()
        states, _, dones, infos = env.step([0, 0])
        np.testing.assert_array_equal(states, [[1, 0], [0, 2]])  # the first has begun its next episode
        np.testing.assert_array_equal(infos["final_states"], [[0, 2], [0, 2]])
        assert dones.tolist() == infos["terminated"].tolist() == [True, False]
        assert "env_infos" not in infos


@BOTH
@pytest.mark.parametrize(("kwargs", "flags"), [({}, (1, 0)), ({"truncates": True}, (0, 1)), ({"both": True}, (1, 0))])
def test_ends_are_terminations_or_truncations(kind, kwargs, flags):
    with kind([lambda: Counter(length=1, **kwargs)] * 2) as env:
        env.reset()
        _, _, dones, infos = env.step([0, 0])
        assert dones.all()
        assert (infos["terminated"][0], infos["truncated"][0]) == flags


@BOTH
@pytest.mark.parametrize("truncates", [False, True])
def test_flags_are_those_of_their_step_alone(kind, truncates):
    with kind([lambda: Counter(length=2, truncates=truncates), lambda: Counter(length=3, truncates=truncates)]) as env:
        env.reset()
        steps = [env.step([0, 0]) for _ in range(6)]
    ends = [[False, False], [True, False], [False, True], [True, False], [False, False], [True, True]]
    assert [dones.tolist() for _, _, dones, _ in steps] == ends
    assert [infos["truncated" if truncates else "terminated"].tolist() for *_, infos in steps] == ends


@BOTH
def test_returned_arrays_are_the_callers_to_keep(kind):
    with kind([lambda: Counter(length=2)] * 2) as env:
        kept = [env.reset()]
        results = [env.step([0, 0]) for _ in range(3)]
        copies = [np.copy(x) for r in results for x in (*r[:3], *r[3].values())]
        results[0][0][:] = 99  # and to write to: nothing else changes
        np.testing.assert_array_equal(results[0][3]["final_states"], copies[5])
        env.step([0, 0])
        for array, copy in zip([x for r in results[1:] for x in (*r[:3], *r[3].values())], copies[6:], strict=True):
            np.testing.assert_array_equal(array, copy)
        assert kept[0].tolist() == [[0, 0], [0, 0]]


@BOTH
def test_environment_i_is_seeded_seed_plus_i_at_the_first_reset_only(kind):
    class Seeded(Counter):
        def observe(self):
            return np.array([-1 if self.seeds[-1] is None else self.seeds[-1], self.t], np.float32)

    with kind([lambda: Seeded(length=2)] * 3, seed=40) as env:
        assert env.reset()[:, 0].tolist() == [40, 41, 42]
        assert env.reset()[:, 0].tolist() == [-1, -1, -1]
        assert env.reset(seed=5)[:, 0].tolist() == [5, 6, 7]
        env.step([0] * 3)
        assert env.step([0] * 3)[0][:, 0].tolist() == [-1, -1, -1]
        assert env.reset(seed=[[1, 2], [3], []])[:, 0].tolist() == [1, 3, -1]
        env.step([0] * 3)
        assert env.step([0] * 3)[0][:, 0].tolist() == [2, -1, -1]
        with pytest.raises(ValueError, match="2 environments, there are 3"):
            env.reset(seed=[[1], [2]])


@BOTH
def test_infos_of_the_environments_come_along(kind):
    with kind([Counter, lambda: Counter(info={"lives": 3})]) as env:
        env.reset()
        assert env.step([0, 0])[3]["env_infos"] == [{}, {"lives": 3}]


@BOTH
def test_infos_may_hold_objects_of_the_script(kind):
    class Mine:
        pass

    with kind([lambda: Counter(info={"mine": Mine()})] * 2) as env:
        env.reset()
        assert type(env.step([0, 0])[3]["env_infos"][1]["mine"]).__name__ == "Mine"


@BOTH
def test_continuous_actions_are_clipped_to_the_bounds(kind):
    class Echo(Counter):
        def observe(self):
            return self.actions[-1] if self.actions else np.zeros(2, np.float32)

    low, high = np.array([-1, 0], np.float32), np.array([1, 2], np.float32)
    with kind([lambda: Echo(action_space=spaces.Box(low, high))] * 2) as env:
        assert (env.type, env.num_actions, env.action_shape) == ("continuous", 2, (2,))
        env.reset()
        states = env.step([[-3, -3], [0.5, 3]])[0]
        np.testing.assert_allclose(states, [[-1, 0], [0.5, 2]])


@BOTH
def test_wrong_actions_are_refused_and_the_environments_go_on(kind):
    with kind([Counter] * 3) as env:
        env.reset()
        for actions, message in [
            ([0, 0], r"shape \[2\], expected \[3\].*each of the 3"),
            ([0, 3, 0], r"environment 1 is 3; it must be one of 0\.\.2"),
            ([0, 0, -1], "environment 2 is -1"),
            ([0.5, 0, 0], "whole numbers"),
        ]:
            with pytest.raises(ValueError, match=message):
                env.step(actions)
        env.step([0, 1, 2])
    with DummyVecEnv([lambda: Counter(action_space=spaces.Box(-1, 1, (1,)))] * 2) as env:
        env.reset()
        with pytest.raises(ValueError, match="environment 1 is .*finite"):
            env.step([[0], [np.nan]])


@BOTH
def test_step_before_reset_and_use_after_close_are_errors(kind):
    env = kind([Counter] * 2)
    with pytest.raises(EnvError, match="before reset"):
        env.step([0, 0])
    env.close()
    env.close()
    for call in (env.reset, lambda: env.step([0, 0]), env.render):
        with pytest.raises(EnvError, match="closed"):
            call()


@BOTH
def test_render_gives_a_frame_of_each(kind):
    with ilpyt.envs.build_env("CartPole-v0", 3, vecenv_type="dummy", render_mode="rgb_array") as env:
        env = kind(env.env_fns)
        env.reset()
        frames = env.render()
        assert [frame.shape for frame in frames] == [(400, 600, 3)] * 3
        env.close()
    with kind([Counter] * 2) as env:
        with pytest.raises(EnvError, match="before reset"):
            env.render()
        env.reset()
        with pytest.raises(ValueError, match="render_mode='rgb_array'"):
            env.render()


def raise_boom():
    raise ValueError("boom")


@BOTH
@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (raise_boom, r"environment 2 \(Counter\) failed in step: ValueError: boom"),
        (lambda: (np.array([0, np.nan]), 0.0), r"environment 2 \(Counter\) returned nan in its observation\[1\]"),
        (lambda: (np.array([np.inf, 0]), 0.0), r"environment 2 \(Counter\) returned inf in its observation\[0\]"),
        (lambda: (np.zeros(2), np.nan), r"environment 2 \(Counter\) returned nan in its reward"),
        (lambda: (np.zeros(1), 0.0), r"environment 2 \(Counter\) .*shape \[1\]; its space says \[2\]"),
    ],
)
def test_a_failing_step_names_the_environment_and_closes_all(kind, fault, message):
    faulty = [Counter, Counter, lambda: Counter(faults={4: fault}), Counter]
    env = kind(faulty)
    env.reset()
    with pytest.raises(EnvError, match=message) as error:
        for _ in range(10):
            env.step([0] * 4)
    assert env._steps in (4, 5)
    if fault is raise_boom:
        traceback = str(error.getrepr(style="long")) if kind is DummyVecEnv else str(error.value)
        assert "in raise_boom" in traceback or "def raise_boom" in traceback
    with pytest.raises(EnvError, match="closed"):
        env.step([0] * 4)
    assert no_workers_of(env)


@BOTH
def test_a_nan_in_the_last_observation_of_an_episode_is_found(kind):
    with kind([lambda: Counter(length=2, faults={1: lambda: (np.array([0, np.nan]), 0.0)})]) as env:
        env.reset()
        env.step([0])
        with pytest.raises(EnvError, match="nan in its observation"):
            env.step([0])


@BOTH
def test_an_environment_that_cant_be_made_is_named(kind):
    with pytest.raises(EnvError, match=r"environment 1 \(raise_boom\) can't be made: ValueError: boom"):
        kind([Counter, raise_boom])


@BOTH
def test_environments_with_other_spaces_are_refused(kind):
    with pytest.raises(EnvError, match=r"environment 1 has action space Discrete\(5\)"):
        kind([Counter, lambda: Counter(action_space=spaces.Discrete(5))])


@BOTH
def test_one_environment_given_several_times_is_refused(kind):
    shared = Counter()
    with pytest.raises(ValueError if kind is DummyVecEnv else EnvError, match="each make its own"):
        kind([lambda: shared] * 4)


def test_env_fns_must_be_functions():
    for wrong in ([], Counter, [Counter()]):
        with pytest.raises(ValueError, match="list of at least one function"):
            DummyVecEnv(wrong)


# --- worker processes


def no_workers_of(env):
    return all(w.process.poll() is not None for w in getattr(env, "_workers", []))


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def open_files():
    """Targets of this process's file descriptors; a shared memory without a name is among them as memfd."""
    targets = []
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            targets.append(os.readlink(f"/proc/self/fd/{fd}").split(":")[0])
    return sorted(targets)


@pytest.mark.parametrize("workers", [1, 2, 3, 99])
def test_any_number_of_workers(workers):
    with SubProcVecEnv([lambda i=i: Counter(length=i + 1) for i in range(5)], num_workers=workers) as env:
        env.reset()
        assert env.step([0] * 5)[2].tolist() == [True, False, False, False, False]
        assert len(env._workers) == min(workers, 5)


@pytest.fixture
def sockets():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


@pytest.mark.parametrize("counted", [True, False])
def test_messages_come_whatever_the_counter_says(sockets, counted):
    sent, coming, never = (memoryview(bytearray(1)) for _ in range(3))
    sender = Channel(sockets[1], sent, coming, awake=0.0)
    receiver = Channel(sockets[0], coming, sent if counted else never, awake=0.02)

    def send():
        for _ in range(300):  # more than a byte counts
            sender.send_byte(Channel.STEP)
            sender.send({"a": 1})

    thread = threading.Thread(target=send)
    thread.start()
    assert [receiver.receive() for _ in range(600)] == [Channel.STEP, {"a": 1}] * 300
    thread.join()
    assert sent[0] == 600 % 256


def test_who_has_a_core_to_itself_stays_awake_until_a_message_is_counted(sockets):
    sent, coming = (memoryview(bytearray(1)) for _ in range(2))

    def send_later(count):
        sockets[1].send(Channel.STEP)
        coming[0] = count

    def seconds_of_work(awake):
        threading.Timer(0.2, send_later, [1]).start()
        start, worked = time.monotonic(), time.thread_time()
        assert Channel(sockets[0], sent, coming, awake).receive() == Channel.STEP
        coming[0] = 0
        assert time.monotonic() - start < 20
        return time.thread_time() - worked

    assert seconds_of_work(awake=60.0) > 0.02
    assert seconds_of_work(awake=0.0) < 0.02


@pytest.mark.parametrize(
    ("num_workers", "cores", "pinned", "awake", "caller_awake"),
    [
        (1, [3], [3], [False], False),  # one core for both
        (2, [3, 5], [3, 5], [False, True], False),  # the caller is on the first one's core, mostly
        (1, [3, 5], [None], [True], True),
        (3, [3, 5], [None] * 3, [False] * 3, False),
        (2, [None, None], [None] * 2, [False] * 2, False),  # where there are no affinities
    ],
)
def test_only_who_has_a_core_to_itself_stays_awake(num_workers, cores, pinned, awake, caller_awake):
    places = [find_place(i, num_workers, cores) for i in range(num_workers)]
    assert [place.core for place in places] == pinned
    assert [place.awake > 0 for place in places] == awake
    assert {place.caller_awake > 0 for place in places} == {caller_awake}


def test_trajectories_are_the_same_however_many_workers_there_are():
    def trajectory(num_workers):
        with SubProcVecEnv([lambda: gymnasium.make("CartPole-v1")] * 5, 3, num_workers=num_workers) as env:
            return list(play(env, 40))

    one, *others = (trajectory(n) for n in (1, 2, 5))
    for other in others:
        np.testing.assert_equal(other, one)


def test_a_killed_worker_is_an_error_that_names_its_environments():
    env = SubProcVecEnv([Counter] * 4, num_workers=2)
    env.reset()
    os.kill(env._workers[1].process.pid, signal.SIGKILL)
    start = time.monotonic()
    with pytest.raises(EnvError, match=r"environment 2 \(Counter\): its worker process was killed by SIGKILL in step"):
        for _ in range(3):
            env.step([0] * 4)
    assert time.monotonic() - start < 10
    assert no_workers_of(env)


def test_a_worker_killed_amid_a_step_doesnt_hang_though_its_child_holds_the_connection():
    class Parent(Counter):
        def step(self, action):
            if os.fork() == 0:  # a simulator that inherits every file descriptor
                time.sleep(8)
                os._exit(0)
            os.kill(os.getpid(), signal.SIGKILL)

    env = SubProcVecEnv([Counter, Parent], num_workers=2)
    env.reset()
    start = time.monotonic()
    with pytest.raises(EnvError, match=r"environment 1 \(Counter\): its worker process was killed by SIGKILL in step"):
        env.step([0, 0])
    assert time.monotonic() - start < 6


def test_a_step_that_takes_too_long_is_an_error_that_names_the_environment():
    env = SubProcVecEnv([Counter, lambda: Counter(faults={0: lambda: time.sleep(60)})], timeout=0.5, num_workers=1)
    env.reset()
    with pytest.raises(EnvError, match=r"environment 1 \(Counter\): its worker process gave no answer in time in step"):
        env.step([0, 0])
    assert no_workers_of(env)


def test_an_environment_that_ends_its_process_is_an_error():
    env = SubProcVecEnv([lambda: Counter(faults={0: lambda: os._exit(3)})])
    env.reset()
    with pytest.raises(EnvError, match="ended with exit code 3 in step"):
        env.step([0])


def test_close_and_garbage_collection_end_the_workers_and_leave_no_segment():
    gc.collect()
    before = open_files()
    env = SubProcVecEnv([Counter] * 2)
    env.reset()
    assert open_files() != before
    pids = [w.process.pid for w in env._workers]
    env.close()
    assert not any(map(alive, pids))
    env = SubProcVecEnv([Counter] * 2)
    pids = [w.process.pid for w in env._workers]
    del env
    gc.collect()
    assert not any(map(alive, pids))
    assert open_files() == before


def test_workers_end_when_their_parent_is_killed(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import time, ilpyt\n"
        "class Slow(__import__('gymnasium').Wrapper):\n"
        "    def step(self, action): time.sleep(60)\n"
        "import gymnasium\n"
        "env = ilpyt.envs.SubProcVecEnv([lambda: Slow(gymnasium.make('CartPole-v1'))] * 2)\n"
        "env.reset()\n"
        "print(*[w.process.pid for w in env._workers], flush=True)\n"
        "env.step([0, 0])\n"
    )
    parent = subprocess.Popen([sys.executable, script], stdout=subprocess.PIPE, text=True)
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    assert len(pids) == 2
    assert all(map(alive, pids))
    parent.kill()
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 5
    while any(map(alive, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(map(alive, pids))


def test_a_plain_script_needs_no_main_guard_and_registers_its_own_environment(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import gymnasium, numpy as np, ilpyt\n"
        "class Mine(gymnasium.Env):\n"
        "    observation_space = gymnasium.spaces.Box(-1, 1, (1,))\n"
        "    action_space = gymnasium.spaces.Discrete(2)\n"
        "    def reset(self, seed=None, options=None): return np.zeros(1, np.float32), {}\n"
        "    def step(self, action): return np.ones(1, np.float32), helper(), False, False, {}\n"
        "def helper(): return 2.0\n"
        "gymnasium.register('Mine-v0', entry_point=Mine)\n"
        "env = ilpyt.envs.build_env('Mine-v0', num_env=3, vecenv_type='subproc')\n"
        "env.reset()\n"
        "print(env.step([0, 1, 0])[1].tolist())\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("[2.0, 2.0, 2.0]\n", "")


def test_what_workers_cant_be_sent_is_an_error_that_says_what_to_do():
    lock = threading.Lock()
    with pytest.raises(EnvError, match=r"env_fns\[1\] \(<lambda>\) can't be sent .*lock.*make it inside"):
        SubProcVecEnv([Counter, lambda: Counter(info={"lock": lock})])


def test_an_interrupt_amid_a_step_leaves_the_environments_usable():
    env = SubProcVecEnv([lambda: Counter(length=10**6, faults={3: lambda: time.sleep(1)})] * 2)
    env.reset()
    for _ in range(3):
        env.step([0, 0])
    signal.signal(signal.SIGALRM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    signal.setitimer(signal.ITIMER_REAL, 0.2)
    with pytest.raises(KeyboardInterrupt):
        env.step([0, 0])
    assert env.reset().tolist() == [[1, 0], [1, 0]]
    assert env.step([0, 0])[0].tolist() == [[1, 1], [1, 1]]
    env.close()


def test_a_worker_killed_in_an_automatic_reset_names_that_environment():
    class DiesInReset(Counter):
        def reset(self, *, seed=None, options=None):
            if self.episode >= 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return super().reset()

    env = SubProcVecEnv([lambda: DiesInReset(length=1), Counter], num_workers=1)
    env.reset()
    with pytest.raises(EnvError, match="environment 0"):
        env.step([0, 0])


def test_an_info_that_cant_be_read_is_an_error_and_not_a_hang():
    class Unreadable:
        def __reduce__(self):
            return int, ("not a number",)

    env = SubProcVecEnv([lambda: Counter(info={"bad": Unreadable()})])
    env.reset()
    with pytest.raises(EnvError, match="sent what can't be read in step: ValueError"):
        env.step([0])
    assert no_workers_of(env)


def test_closing_after_an_interrupt_doesnt_hide_it():
    with pytest.raises(KeyboardInterrupt):
        with SubProcVecEnv([lambda: Counter(faults={0: lambda: time.sleep(60)})]) as env:
            env.reset()
            signal.signal(signal.SIGALRM, lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            env.step([0])
    assert no_workers_of(env)


@BOTH
def test_environments_already_made_are_closed_if_another_cant_be(kind, tmp_path):
    class Leaves(Counter):
        def close(self):
            (tmp_path / "closed").touch()

    with pytest.raises(EnvError, match="can't be made"):
        kind([Leaves, raise_boom], **({"num_workers": 1} if kind is SubProcVecEnv else {}))
    assert (tmp_path / "closed").exists()


def test_workers_dont_import_torch():
    class Modules(Counter):
        def step(self, action):
            result = super().step(action)
            return *result[:4], {"torch": "torch" in sys.modules}

    with SubProcVecEnv([Modules]) as env:
        env.reset()
        assert env.step([0])[3]["env_infos"] == [{"torch": False}]


def test_gymnasium_agrees_step_by_step():
    """Against gymnasium's own environment, stepped by hand."""
    with ilpyt.envs.build_env("CartPole-v1", num_env=1, seed=11) as env:
        own = gymnasium.make("CartPole-v1")
        state = own.reset(seed=11)[0]
        np.testing.assert_array_equal(env.reset()[0], state)
        ends = 0
        for action in [*[0, 1, 1, 0] * 5, *[0] * 60]:
            state, reward, terminated, truncated, _ = own.step(action)
            states, rewards, _, infos = env.step([action])
            np.testing.assert_array_equal(infos["final_states"][0], state)
            assert (rewards[0], infos["terminated"][0], infos["truncated"][0]) == (reward, terminated, truncated)
            if terminated or truncated:
                ends += 1
                state = own.reset()[0]
            np.testing.assert_array_equal(states[0], state)
        assert ends > 2


def test_large_infos_arrive_whole():
    """Larger than a socket's buffer, from several workers at once."""
    with SubProcVecEnv(
        [lambda i=i: Counter(info={"data": bytes([i]) * 3_000_000}) for i in range(3)], num_workers=3
    ) as env:
        env.reset()
        for _ in range(2):
            infos = env.step([0] * 3)[3]["env_infos"]
            assert [info["data"] == bytes([i]) * 3_000_000 for i, info in enumerate(infos)] == [True] * 3


def test_a_stopped_worker_that_goes_on_later_loses_nothing():
    with SubProcVecEnv([lambda: Counter(info={"data": b"x" * 2_000_000})], num_workers=1) as env:
        env.reset()
        pid = env._workers[0].process.pid
        os.kill(pid, signal.SIGSTOP)
        threading.Timer(1.5, os.kill, (pid, signal.SIGCONT)).start()
        assert len(env.step([0])[3]["env_infos"][0]["data"]) == 2_000_000
