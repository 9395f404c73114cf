"""What runs inside a worker process of `SubProcVecEnv`."""

import mmap
import os
import socket
import threading
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


def map_arrays(memory_fd: int, num_envs: int, observation_space: spaces.Box, action_space: spaces.Space) -> StepArrays:
    """The arrays of all environments, over the shared memory behind a file descriptor, grown to hold them."""
    layout = StepArrays.layout(num_envs, observation_space, action_space)
    offsets, size = {}, 0
    for name, (shape, dtype) in layout.items():
        offsets[name] = size
        size += -(-int(np.prod(shape)) * np.dtype(dtype).itemsize // 64) * 64  # a cache line's multiple
    if os.fstat(memory_fd).st_size < size:
        os.ftruncate(memory_fd, size)
    memory = mmap.mmap(memory_fd, size)
    return StepArrays(
        **{name: np.ndarray(shape, dtype, memory, offsets[name]) for name, (shape, dtype) in layout.items()}
    )


class Channel:
    """Messages between a VecEnv and one of its workers, over a stream socket.

    A message is a byte, `STEP` or `DONE`, or `OBJECT`, a length and a pickle. What every step sends is that short
    because a step of a few CartPoles is short too: pickling and framing took a tenth of its time.
    """

    STEP, DONE, OBJECT = b"s", b"d", b"o"

    def __init__(self, sock: socket.socket, on_silence: Callable[[], None] = lambda: None) -> None:
        """Take over a socket.

        Args:
            sock: blocking; perhaps with a timeout (`SO_RCVTIMEO`).
            on_silence: called whenever nothing has come for that time; may raise.
        """
        self._socket = sock
        self._on_silence = on_silence
        self.is_amid_message = False
        self.send_byte = sock.send
        self.close = sock.close

    def send(self, value: Any) -> None:
        """Send an object, by cloudpickle, since it may be of a class of the user's script."""
        content = cloudpickle.dumps(value)
        self._socket.sendall(self.OBJECT + len(content).to_bytes(8, "little") + content)

    def receive(self) -> Any:
        """`STEP`, `DONE` or the object sent; waits for it. `is_amid_message` stays set if it was interrupted there.

        Raises:
            EOFError: the other side is gone.
        """
        byte = bytes(self._receive_exactly(1))
        if byte != self.OBJECT:
            return byte
        self.is_amid_message = True
        content = self._receive_exactly(int.from_bytes(self._receive_exactly(8), "little"))
        self.is_amid_message = False
        return cloudpickle.loads(content)

    def _receive_exactly(self, length: int) -> bytearray:
        content = bytearray(length)
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
        return content


def main(socket_fd: int, memory_fd: int, lifeline_fd: int, core: int | None) -> None:
    """Serve one slice of a `SubProcVecEnv` until it says 'close', or its process is gone.

    Args:
        socket_fd: where requests come in, `STEP` or `(name, arguments)`, and replies go out, `DONE` or
            `(succeeded, value)`.
        memory_fd: the shared memory.
        lifeline_fd: reads as ended when the parent process is gone, however it went.
        core: to run on; None: any.
    """
    if core is not None:
        os.sched_setaffinity(0, {core})
    threading.Thread(target=_end_with_parent, args=(lifeline_fd,), daemon=True).start()
    channel = Channel(socket.socket(fileno=socket_fd))
    try:
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
    """End this process, whatever it is doing, once the parent's end of the lifeline is closed."""
    os.read(lifeline_fd, 1)
    os._exit(1)
