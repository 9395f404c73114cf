"""`Loop`: what happens between two iterations of a train loop."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice

import torch

from ilpyt.agents.base_agent import BaseAgent
from ilpyt.utils.errors import TrainingError
from ilpyt.utils.interrupts import Interrupts
from ilpyt.utils.logger import Progress

SMALL = 500_000  # parameters; below, PyTorch's threads cost more than they bring
LOOK_EVERY = 1.0  # seconds between looks at whether the weights are still finite


class GoodWeights:
    """The agent's latest weights that were found to be finite.

    No update takes in a loss or a gradient that isn't (`BaseAgent.optimize`); this is for what gets past that, such as
    a learning rate of nan.
    """

    def __init__(self, agent: BaseAgent) -> None:
        """Begin with the weights as they are.

        Raises:
            TrainingError: they aren't finite.
        """
        self._agent = agent
        self.look()

    def look(self) -> None:
        """Take the weights as they are now.

        Raises:
            TrainingError: they aren't finite.
        """
        broken = self._agent.find_not_finite()
        if broken:
            raise TrainingError(f"training can't go on: {broken}")
        self._weights = self._agent.get_weights()
        self._looked = time.monotonic()

    def look_now_and_then(self) -> None:
        """`look`, if the last one is a while ago."""
        if time.monotonic() - self._looked > LOOK_EVERY:
            self.look()

    def restore(self) -> str | None:
        """Give the agent its latest good weights if those it has aren't; what was wrong with them."""
        broken = self._agent.find_not_finite()
        if broken:
            self._agent.set_weights(self._weights)
        return broken


class Loop:
    """Counts the iterations of a train loop, moves the progress bar, and leaves the loop when asked to.

    Attributes:
        done: iterations made, those before a resumption too; of a loop over `steps`.
    """

    def __init__(
        self, bar: Progress, interrupts: Interrupts, weights: GoodWeights, checkpoint: Callable[[], None]
    ) -> None:
        self.done = 0
        self._bar = bar
        self._interrupts = interrupts
        self._weights = weights
        self._checkpoint = checkpoint

    def steps(self, steps: Iterable[int]) -> Iterator[int]:
        """The steps, without those that were made before a resumption."""
        self._bar.advance(self.done)
        for step in islice(steps, self.done, None):
            self.breathe()
            self.done += 1
            yield step
            self._bar.advance(1)
        self._checkpoint()

    def advance(self, steps: int) -> None:
        """Move the progress bar on."""
        self._bar.advance(steps)

    def state_dict(self) -> dict[str, int]:
        """How far it is."""
        return {"done": self.done}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on from what `state_dict` gave."""
        self.done = state["done"]

    def breathe(self) -> None:
        """Between two iterations: if Ctrl-C or SIGTERM has come, write a checkpoint and leave.

        Raises:
            KeyboardInterrupt.
            TrainingError: weights are no longer finite.
        """
        self._weights.look_now_and_then()
        if self._interrupts.pending is not None:
            self._checkpoint()
            raise KeyboardInterrupt


@contextmanager
def threads_for(agent: BaseAgent) -> Iterator[None]:
    """One thread of PyTorch for agents of small networks; the number that was set for others, and afterwards."""
    threads = torch.get_num_threads()
    if agent.num_parameters() < SMALL:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
