"""What runs inside a worker process of `SubProcVecEnv`."""

import mmap
import os
import sys
import threading
import traceback
from multiprocessing.connection import Connection
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


def main(connection_fd: int, memory_fd: int, lifeline_fd: int) -> None:
    """Serve one slice of a `SubProcVecEnv` until it says 'close', or its process is gone.

    Parameters
    ----------
    connection_fd: where requests `(name, arguments)` come in and replies `(succeeded, value)` go out.
    memory_fd: the shared memory.
    lifeline_fd: reads as ended when the parent process is gone, however it went.
    """
    threading.Thread(target=_end_with_parent, args=(lifeline_fd,), daemon=True).start()
    connection = Connection(connection_fd)
    try:
        sys.path[:], env_fns, start, num_envs = connection.recv()
        worker = _Worker(cloudpickle.loads(env_fns), start, num_envs, memory_fd)
        _reply(connection, worker.introduce())
        name = ""
        while name != "close":
            name, arguments = connection.recv()
            _reply(connection, getattr(worker, name)(*arguments))
    except (EOFError, ConnectionError):  # the parent is gone, or gave up on us
        pass
    except BaseException as error:
        _reply(connection, (str(error) or repr(error), traceback.format_exc()), succeeded=False)


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


def _reply(connection: Connection, value: Any, succeeded: bool = True) -> None:
    """Send a reply; by cloudpickle, since an environment's info may hold objects of the user's script."""
    connection.send_bytes(_DONE if succeeded and value is None else cloudpickle.dumps((succeeded, value)))


_DONE = cloudpickle.dumps((True, None))


def _end_with_parent(lifeline_fd: int) -> None:
    """End this process, whatever it is doing, once the parent's end of the lifeline is closed."""
    os.read(lifeline_fd, 1)
    os._exit(1)
