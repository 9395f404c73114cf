"""What runs inside a worker process of `SubProcVecEnv`."""

import mmap
import os
import signal
import socket
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import cloudpickle
import numpy as np
from gymnasium import spaces

from ilpyt.envs.adapter import describe
from ilpyt.envs.dummy_vec_env import EnvSlice
from ilpyt.envs.vec_env import StepArrays

LINE = 64  # bytes of a cache line; what different processes write shouldn't share one
COUNTERS = 2 * LINE  # bytes of a worker's counters of messages


def map_arrays(memory_fd: int, num_envs: int, observation_space: spaces.Box, action_space: spaces.Space) -> StepArrays:
    """The arrays of all environments, over the shared memory behind a file descriptor, grown to hold them."""
    layout = StepArrays.layout(num_envs, observation_space, action_space)
    offsets, size = {}, 0
    for name, (shape, dtype) in layout.items():
        offsets[name] = size
        size += -(-int(np.prod(shape)) * np.dtype(dtype).itemsize // LINE) * LINE
    if os.fstat(memory_fd).st_size < size:
        os.ftruncate(memory_fd, size)
    memory = mmap.mmap(memory_fd, size)
    return StepArrays(
        **{name: np.ndarray(shape, dtype, memory, offsets[name]) for name, (shape, dtype) in layout.items()}
    )


def counters_of(i: int, counters: memoryview) -> tuple[memoryview, memoryview]:
    """The bytes in which the messages to worker `i` are counted, and those from it."""
    own = counters[i * COUNTERS : (i + 1) * COUNTERS]
    return own[:1], own[LINE : LINE + 1]


class Channel:
    """Messages between a VecEnv and one of its workers, over a stream socket.

    A message is a byte, `STEP` or `DONE`, or `OBJECT`, a length and a pickle. What every step sends is that short
    because a step of a few CartPoles is short too: pickling and framing took a tenth of its time.

    Waking a process that sleeps on another core also takes as long as such a step. So a side that has a core to itself
    stays awake for a moment: it looks at a byte of shared memory in which the other side counts what it has sent. The
    messages themselves come by the socket alone; without the count they are the same, only later.

    Attributes:
        unanswered: messages sent, less those received.
        is_amid_message: an interrupt (Ctrl-C) has left a message half sent, half received or not counted, so that what
            comes next can't be trusted.
    """

    STEP, DONE, OBJECT = b"s", b"d", b"o"

    def __init__(
        self,
        sock: socket.socket,
        sent: memoryview,
        coming: memoryview,
        awake: float,
        on_silence: Callable[[], None] = lambda: None,
    ) -> None:
        """Take over a socket.

        Args:
            sock: blocking; perhaps with a timeout (`SO_RCVTIMEO`).
            sent: the byte of shared memory in which messages sent are counted.
            coming: that in which the other side counts its own.
            awake: seconds to wait before sleeping.
            on_silence: called whenever nothing has come for that time; may raise.
        """
        self._socket = sock
        self._sent, self._coming = sent, coming
        self._received = 0
        self._awake = awake
        self._was_soon = True  # the last message came within that time
        self._on_silence = on_silence
        self.unanswered = 0
        self.is_amid_message = False

    def close(self) -> None:
        """Let go of everything; nothing can be sent or received afterwards."""
        self._socket.close()
        self._sent.release()
        self._coming.release()
        self._on_silence = lambda: None  # which may hold who holds this channel

    def send(self, value: Any) -> None:
        """Send an object, by cloudpickle, since it may be of a class of the user's script."""
        content = cloudpickle.dumps(value)
        self._send(self.OBJECT + len(content).to_bytes(8, "little") + content)

    def send_byte(self, byte: bytes) -> None:
        """Send `STEP` or `DONE`."""
        self._send(byte)

    def _send(self, message: bytes) -> None:
        self.is_amid_message = True
        self._socket.sendall(message)
        self._sent[0] = (self._sent[0] + 1) % 256
        self.unanswered += 1
        self.is_amid_message = False

    def receive(self) -> Any:
        """`STEP`, `DONE` or the object sent; waits for it.

        Raises:
            EOFError: the other side is gone.
        """
        start = time.perf_counter()
        # Without sched_yield: on a busy machine, who has given its core away waits for it longer than who has slept.
        while self._was_soon and self._coming[0] == self._received and time.perf_counter() - start < self._awake:
            pass
        kind = bytearray(1)
        try:
            self._receive_into(kind)
            content = self._receive_content() if kind == self.OBJECT else None
            self._received = (self._received + 1) % 256
            self.unanswered -= 1
        except BaseException:
            self.is_amid_message = kind != b"\0"  # an interrupt may come when the byte is there, but not yet counted
            raise
        self._was_soon = time.perf_counter() - start < self._awake
        return bytes(kind) if content is None else cloudpickle.loads(content)

    def _receive_content(self) -> bytearray:
        length = bytearray(8)
        self._receive_into(length)
        content = bytearray(int.from_bytes(length, "little"))
        self._receive_into(content)
        return content

    def _receive_into(self, content: bytearray) -> None:
        missing = memoryview(content)
        while missing:
            try:
                received = self._socket.recv_into(missing)
            except BlockingIOError:
                self._on_silence()
                continue
            if not received:
                raise EOFError
            missing = missing[received:]


def main(
    socket_fd: int, memory_fd: int, counters_fd: int, lifeline_fd: int, i: int, core: int | None, awake: float
) -> None:
    """Serve one slice of a `SubProcVecEnv` until it says 'close', or its process is gone.

    Args:
        socket_fd: where requests come in, `STEP` or `(name, arguments)`, and replies go out, `DONE` or
            `(succeeded, value)`.
        memory_fd: the shared memory.
        counters_fd: more of it, in which messages are counted.
        lifeline_fd: reads as ended when the parent process is gone, however it went.
        i: its number among the workers.
        core: to run on; None: any.
        awake: see `Channel`.
    """
    if core is not None:
        os.sched_setaffinity(0, {core})
    threading.Thread(target=_end_with_parent, args=(lifeline_fd,), daemon=True).start()
    to_worker, from_worker = counters_of(i, memoryview(mmap.mmap(counters_fd, 0)))
    channel = Channel(socket.socket(fileno=socket_fd), sent=from_worker, coming=to_worker, awake=awake)
    try:
        channel.send_byte(Channel.DONE)  # everything is imported
        env_fns, start, num_envs = channel.receive()
        worker = _Worker(cloudpickle.loads(env_fns), start, num_envs, memory_fd)
        channel.send((True, worker.introduce()))
        name = ""
        while name != "close":
            request = channel.receive()
            name, arguments = ("step", ()) if request == Channel.STEP else request
            value = getattr(worker, name)(*arguments)
            if value is None:
                channel.send_byte(Channel.DONE)
            else:
                channel.send((True, value))
    except (EOFError, ConnectionError):  # the parent is gone, or gave up on us
        pass
    except BaseException as error:
        with suppress(ConnectionError):
            channel.send((False, (str(error) or repr(error), traceback.format_exc())))


class _Worker:
    """The requests that a worker answers."""

    def __init__(self, env_fns: list, start: int, num_envs: int, memory_fd: int) -> None:
        self.slice = EnvSlice(env_fns, start)
        self.num_envs = num_envs
        self.memory_fd = memory_fd
        self.reset, self.step = self.slice.reset, self.slice.step
        self.render, self.close = self.slice.render, self.slice.close

    def introduce(self) -> tuple[list, dict, str | None]:
        env = self.slice.envs[0]
        return self.slice.spaces, describe(env), env.render_mode

    def attach(self, observation_space: Any, action_space: Any) -> None:
        arrays = map_arrays(self.memory_fd, self.num_envs, observation_space, action_space)
        self.slice.attach(arrays.rows(self.slice.start, self.slice.start + len(self.slice.envs)))


def _end_with_parent(lifeline_fd: int) -> None:
    """End this process, whatever it is doing, and what its environments have started, once the lifeline is closed."""
    os.read(lifeline_fd, 1)
    os.killpg(0, signal.SIGKILL)
