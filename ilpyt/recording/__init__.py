"""Demonstrations by hand: a person plays an environment in a window (`ilpyt record`)."""

from ilpyt.recording.recorder import record

__all__ = ["record"]
