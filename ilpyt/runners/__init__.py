"""Runners step an agent in environments; `Batch` and `Experiences` are what they hand back."""

from ilpyt.runners.batch import Batch
from ilpyt.runners.experiences import Experiences
from ilpyt.runners.runner import Runner, evaluate, play

__all__ = ["Batch", "Experiences", "Runner", "evaluate", "play"]
