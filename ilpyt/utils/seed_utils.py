"""Random numbers: seeding all generators, and leaving them as they were."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

TEST_SEED = 1_000_000  # `test` plays episode k with seed TEST_SEED + k; nothing is ever trained or tuned on these
VALIDATION_SEED = 2_000_000  # likewise of the evaluations that decide when training stops


def set_seed(seed: int) -> None:
    """Seed the generators of Python, NumPy and PyTorch (all devices)."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


@contextmanager
def preserved_random_state() -> Iterator[None]:
    """Whatever draws random numbers inside, the generators of Python, NumPy and PyTorch go on as if nothing had."""
    state = get_random_state()
    try:
        yield
    finally:
        set_random_state(state)


def get_random_state() -> dict[str, Any]:
    """The states of the generators of Python, NumPy and PyTorch (all devices), as tensors and plain values."""
    numpy_state: Any = np.random.get_state()  # name, keys, position, and a spare normal number
    return {
        "python": random.getstate(),
        "numpy": (numpy_state[0], torch.from_numpy(numpy_state[1].astype(np.int64)), *numpy_state[2:]),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else [],
    }


def set_random_state(state: dict[str, Any]) -> None:
    """Go on from what `get_random_state` gave."""
    random.setstate(state["python"])
    name, keys, *numpy_state = state["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), *numpy_state))
    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.device_count() == len(state["cuda"]):
        torch.cuda.set_rng_state_all(state["cuda"])
