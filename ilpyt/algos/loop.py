"""`Loop`: what happens between two iterations of a train loop."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from ilpyt.utils.interrupts import Interrupts
from ilpyt.utils.logger import Progress


class Loop:
    """Counts the iterations of a train loop, moves the progress bar, and leaves the loop when asked to.

    Attributes:
        done: iterations made, those before a resumption too; of a loop over `steps`.
    """

    def __init__(self, bar: Progress, interrupts: Interrupts, checkpoint: Callable[[], None]) -> None:
        self.done = 0
        self._bar = bar
        self._interrupts = interrupts
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
        """
        if self._interrupts.pending is not None:
            self._checkpoint()
            raise KeyboardInterrupt
