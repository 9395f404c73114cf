"""Random numbers: seeding all generators, and leaving them as they were."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

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
    python_state, numpy_state = random.getstate(), np.random.get_state()
    with torch.random.fork_rng():
        try:
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)
