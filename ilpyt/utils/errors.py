"""The errors that ilpyt raises on its own account.

Each also is the built-in exception that fits, so that code which knows nothing of ilpyt can catch it.
"""

import signal


class IlpytError(Exception):
    """Whatever ilpyt found wrong; the base of its other errors."""


class EnvError(IlpytError, RuntimeError):
    """An environment failed, can't be made, or returned what it may not return."""


class DataError(IlpytError, ValueError):
    """Data (a demonstration file, weights, a batch) that is broken or doesn't fit."""


class SaveError(IlpytError, OSError):
    """A file couldn't be written: the disk is full, a folder read-only. What was there before is as it was."""


class MissingExtraError(IlpytError, ImportError):
    """An optional package isn't installed; the message names the extra of ilpyt that brings it."""


class DisplayError(IlpytError, RuntimeError):
    """There is no screen to show a window on."""


class TrainingError(IlpytError, RuntimeError):
    """Training can't go on, for instance because a loss is no longer finite."""


class TrainingInterrupted(KeyboardInterrupt, SystemExit):
    """Ctrl-C or SIGTERM during training, raised after what was learnt has been saved.

    Code that catches `KeyboardInterrupt` sees one; a script that doesn't ends without a traceback, with the exit code
    that shells give: 130 after Ctrl-C, 143 after SIGTERM.
    """

    def __init__(self, number: int = signal.SIGINT) -> None:
        super().__init__("training interrupted")
        self.code = 128 + number
