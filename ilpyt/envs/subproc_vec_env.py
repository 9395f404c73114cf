"""Environments stepped in parallel by worker processes, over shared memory.

Each worker steps a contiguous slice of the environments in series. Observations, actions, rewards and flags lie in one
anonymous shared memory; a step costs each worker a message of one byte. When there is a worker for every core, each
keeps to its own: left to itself, Linux often wakes two on one core, one after the other (16 CartPoles on two cores took
1.3 to 1.8 times as long). Whoever has a core to itself stays awake for a moment between messages, since waking takes as
long as some steps; with a worker for every core the caller shares the first one's, so those two sleep.

Workers are fresh interpreters that import ilpyt and receive the environment functions by cloudpickle. They never import
the user's script, so it needs no `if __name__ == '__main__'`. Nothing outlives the parent: the memory has no name, and
a worker ends when its lifeline, a pipe whose other end only the parent holds, is closed.
"""

import mmap
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import pairwise
from typing import Any, NamedTuple

import cloudpickle
import numpy as np

from ilpyt.envs.dummy_vec_env import common_spaces
from ilpyt.envs.vec_env import VecEnv, name_of
from ilpyt.envs.worker import COUNTERS, Channel, counters_of, map_arrays
from ilpyt.utils.errors import EnvError

CHECK_EVERY = 1.0  # seconds between looks at whether a silent worker still lives
START_WITHIN = 60.0  # seconds that worker processes get to start; environments are made after that
CLOSE_WITHIN = 5.0  # seconds that workers get to close their environments
STAY_AWAKE = 500e-6  # seconds that a process with a core to itself waits for a message before it sleeps


class Place(NamedTuple):
    """Where a worker runs, and who stays awake between its messages.

    Attributes:
        core: that it keeps to; None: any.
        awake: seconds that the worker waits for a message before it sleeps.
        caller_awake: seconds that the caller does.
    """

    core: int | None
    awake: float
    caller_awake: float


def find_place(i: int, num_workers: int, cores: Sequence[int | None]) -> Place:
    """The place of worker `i`; only who has a core to itself stays awake.

    Args:
        i: number of the worker.
        num_workers: how many there are.
        cores: those that this process may use; None for each where there is no saying which.
    """
    if num_workers < len(cores):
        return Place(None, STAY_AWAKE, STAY_AWAKE)
    core = cores[i] if num_workers == len(cores) else None
    return Place(core, STAY_AWAKE if core is not None and i > 0 else 0.0, 0.0)


class SubProcVecEnv(VecEnv):
    """N environments in `num_workers` processes; trajectories are bit-identical to `DummyVecEnv`'s."""

    def __init__(
        self,
        env_fns: Sequence[Callable[[], Any]],
        seed: int | None = None,
        *,
        num_workers: int | None = None,
        timeout: float | None = None,
    ) -> None:
        """Start the workers and make the environments in them.

        Args:
            env_fns: see `VecEnv`.
            seed: see `VecEnv`.
            num_workers: number of processes; None: one a core, at most one an environment.
            timeout: seconds that making the environments, a step, a reset or a render may take before it is an error;
                None: any time. (Worker processes have a minute to start, or the timeout, before that.)
        """
        super().__init__(env_fns, seed)
        if os.name != "posix":
            raise EnvError("SubProcVecEnv needs Linux or macOS; use DummyVecEnv (vecenv_type='dummy') here")
        cores = _cores()
        self._num_workers = num_workers
        num_workers = min(self.num_envs, len(cores) if num_workers is None else num_workers)
        if num_workers < 1:
            raise ValueError(f"num_workers must be at least 1, got {num_workers}")
        if timeout is not None and timeout <= 0:
            raise ValueError(f"timeout must be above 0 seconds, or None, got {timeout}")
        self._timeout = timeout
        bounds = np.linspace(0, self.num_envs, num_workers + 1).astype(int).tolist()
        self._slices = list(pairwise(bounds))
        self.description = {"env_id": name_of(self.env_fns[0])}

        memory_fd, counters_fd = _shared_memory_fd(), _shared_memory_fd()
        lifeline_read, lifeline = os.pipe()
        self._workers: list[_WorkerProcess] = []
        self._end = weakref.finalize(self, _end_workers, self._workers, lifeline, os.getpid())
        try:
            os.ftruncate(counters_fd, num_workers * COUNTERS)
            counters = memoryview(mmap.mmap(counters_fd, 0))
            shared_fds = (memory_fd, counters_fd, lifeline_read)
            for i in range(num_workers):
                place = find_place(i, num_workers, cores)
                self._workers.append(_WorkerProcess(i, shared_fds, counters, place, timeout))
            self._collect("start", max(START_WITHIN, timeout or 0.0))
            parts = [(_pickled(self.env_fns, i, j), i, self.num_envs) for i, j in self._slices]
            introductions = self._ask("start", parts)
            self.description, self.render_mode = introductions[0][1:]
            observation_space, action_space = common_spaces([s for spaces, *_ in introductions for s in spaces])
            self._set_up(
                map_arrays(memory_fd, self.num_envs, observation_space, action_space), observation_space, action_space
            )
            self._ask("start", [("attach", (observation_space, action_space))] * num_workers)
        except BaseException:
            self._closed = True
            self._end()
            raise
        finally:
            os.close(memory_fd)
            os.close(counters_fd)
            os.close(lifeline_read)

    def like(self, env_fns: Sequence[Callable[[], Any]]) -> "SubProcVecEnv":
        """Other environments, stepped in the same way."""
        return type(self)(env_fns, num_workers=self._num_workers, timeout=self._timeout)

    def _reset(self, seeds: list[list[int]]) -> None:
        self._ask("reset", [("reset", (seeds[start:stop],)) for start, stop in self._slices])

    def _step(self) -> list[dict] | None:
        self._arrays.rewards.fill(np.nan)  # a worker that dies leaves nan from the environment it was in
        infos = self._ask("step", [Channel.STEP] * len(self._workers))
        if not any(infos):
            return None
        sizes = [stop - start for start, stop in self._slices]
        return [info for part, n in zip(infos, sizes, strict=True) for info in (part or [{} for _ in range(n)])]

    def _render(self) -> list[Any]:
        return [frame for frames in self._ask("render", [("render", ())] * len(self._workers)) for frame in frames]

    def _close(self) -> None:
        failures = []
        deadline = time.monotonic() + CLOSE_WITHIN
        try:
            for worker in self._workers:
                worker.send(("close", ()))
            for i, worker in enumerate(self._workers):
                try:
                    succeeded, value = worker.receive(deadline)
                except _WorkerLostError as lost:
                    failures.append(f"{self._who(i, 'close')} {lost} in close")
                else:
                    failures += [] if succeeded else [value[0]]
        finally:
            self._end()
        if failures:
            raise EnvError(failures[0])

    def _ask(self, doing: str, requests: Sequence[Any]) -> list[Any]:
        """Send each worker its request; their replies."""
        try:
            # The first worker comes last: it may share this core, and take it before the others have been told.
            for worker, request in zip(reversed(self._workers), reversed(requests), strict=True):
                worker.send(request)
            return self._collect(doing, self._timeout)
        except BaseException:
            if any(worker.channel.is_amid_message for worker in self._workers):
                self._closed = True
                self._end()
            raise

    def _collect(self, doing: str, timeout: float | None) -> list[Any]:
        """The reply of every worker; a failure of one closes all."""
        deadline = None if timeout is None else time.monotonic() + timeout
        values = []
        for i, worker in enumerate(self._workers):
            try:
                succeeded, value = worker.receive(deadline)
            except _WorkerLostError as lost:
                self._fail(f"{self._who(i, doing)} {lost} in {doing}")
            except Exception as error:
                self._fail(f"{self._who(i, doing)} sent what can't be read in {doing}: {type(error).__name__}: {error}")
            if not succeeded:
                self._fail(f"{value[0]}\n\nIn worker process {i}:\n{value[1].rstrip()}")
            values.append(value)
        return values

    def _fail(self, message: str) -> None:
        self._closed = True
        self._end()
        raise EnvError(message) from None

    def _who(self, i: int, doing: str) -> str:
        """The environment that worker `i` was busy with, or all of its environments."""
        start, stop = self._slices[i]
        name = self.description["env_id"]
        if doing == "step" and np.isnan(rewards := self._arrays.rewards[start:stop]).any():
            return f"environment {start + int(np.isnan(rewards).argmax())} ({name}): its worker process"
        return f"environments {start} to {stop - 1} ({name}): their worker process"


class _WorkerLostError(Exception):
    """A worker died or didn't answer in time; the message completes 'its worker process ...'."""


class _WorkerProcess:
    """A worker process, seen from the parent."""

    def __init__(
        self, i: int, shared_fds: tuple[int, int, int], counters: memoryview, place: Place, timeout: float | None
    ) -> None:
        ours, theirs = socket.socketpair()
        patience = CHECK_EVERY if timeout is None else min(CHECK_EVERY, timeout)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("ll", *divmod(int(patience * 1e6), 10**6)))
        fds = (theirs.fileno(), *shared_fds)
        program = (
            f"import sys; sys.path[:] = {[p for p in sys.path if isinstance(p, str)]!r}; sys.argv = {sys.argv!r}\n"
            f"from ilpyt.envs.worker import main; main{(*fds, i, place.core, place.awake)}"
        )
        self.process = subprocess.Popen(
            [sys.executable, "-c", program],
            pass_fds=fds,
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is the parent's to handle
        )
        theirs.close()
        to_worker, from_worker = counters_of(i, counters)
        self.channel = Channel(ours, to_worker, from_worker, place.caller_awake, self._look_up)
        self.channel.unanswered = 1  # it says when it has started
        self._deadline: float | None = None

    def send(self, request: Any) -> None:
        """Send `Channel.STEP`, or an object."""
        with suppress(ConnectionError):  # dead: receive finds out and says so
            self.channel.send_byte(request) if request is Channel.STEP else self.channel.send(request)

    def receive(self, deadline: float | None) -> tuple[bool, Any]:
        """The reply to the last request: whether it succeeded, and its value."""
        self._deadline = deadline
        while True:
            try:
                reply = self.channel.receive()
            except (EOFError, ConnectionError):
                raise _WorkerLostError(self._last_words()) from None
            if reply == Channel.DONE:
                reply = (True, None)
            # Others are replies to requests that an interrupt kept from being waited for.
            if self.channel.unanswered <= 0 or not reply[0]:
                return reply

    def _look_up(self) -> None:
        """Called now and then while waiting for a reply."""
        if self.process.poll() is not None:
            raise _WorkerLostError(self._last_words())
        if self._deadline is not None and time.monotonic() >= self._deadline:
            raise _WorkerLostError("gave no answer in time")

    def end(self, wait: float) -> None:
        """Let the process end, and see to it that it does, with what its environments have started."""
        self.channel.close()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(wait)
        with suppress(ProcessLookupError, PermissionError):  # nothing is left
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def _last_words(self) -> str:
        try:
            code = self.process.wait(CHECK_EVERY)
        except subprocess.TimeoutExpired:
            return "closed its connection"
        return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


def _end_workers(workers: list[_WorkerProcess], lifeline: int, owner: int) -> None:
    """End the workers of a VecEnv, also when it is garbage or the interpreter exits; once."""
    if os.getpid() != owner:
        return  # a forked child got a copy of the parent's VecEnv; the workers aren't its to end
    for worker in workers:
        worker.channel.close()
    deadline = time.monotonic() + CHECK_EVERY
    for worker in workers:
        worker.end(max(0.0, deadline - time.monotonic()))
    os.close(lifeline)


def _pickled(env_fns: Sequence[Callable[[], Any]], start: int, stop: int) -> bytes:
    """The functions `start` to `stop`, for a worker.

    Raises:
        EnvError: they hold something that can't be pickled.
    """
    try:
        return cloudpickle.dumps(list(env_fns[start:stop]))
    except Exception as error:
        if stop - start > 1:
            for i in range(start, stop):
                _pickled(env_fns, i, i + 1)
        raise EnvError(
            f"env_fns[{start}] ({name_of(env_fns[start])}) can't be sent to a worker process: {type(error).__name__}: "
            f"{error}. Whatever can't be pickled (a lock, a connection): make it inside the function, or in the "
            "environment's own __init__; or use DummyVecEnv (vecenv_type='dummy')"
        ) from error


def _shared_memory_fd() -> int:
    """A file descriptor of memory that has no name, so that it can't be left behind."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("ilpyt")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _cores() -> list[int | None]:
    """The cores that this process may use; None for each where there is no saying which."""
    if hasattr(os, "sched_getaffinity"):
        return [*sorted(os.sched_getaffinity(0))]
    return [None] * (os.cpu_count() or 1)
