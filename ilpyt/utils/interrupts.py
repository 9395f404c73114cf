"""Ctrl-C and `kill` that wait for a moment at which a loop can be left."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """Notes the first SIGINT or SIGTERM; the second interrupts at once.

    Attributes:
        pending: the signal that has come; None: none has.
    """

    def __init__(self) -> None:
        self.pending: int | None = None

    @contextmanager
    def deferred(self) -> Iterator[None]:
        """Inside, signals are noted, if this is the main thread and nobody wants them ignored."""
        former = {}
        if threading.current_thread() is threading.main_thread():
            former = {number: signal.getsignal(number) for number in SIGNALS}
            former = {number: handler for number, handler in former.items() if handler is not signal.SIG_IGN}
        for number in former:
            signal.signal(number, self._note)
        try:
            yield
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.pending is not None:
            raise KeyboardInterrupt
        self.pending = number
