"""Runners step an agent in environments; `Batch` and `Experiences` are what they hand back."""

from ilpyt.runners.batch import Batch
from ilpyt.runners.experiences import Experiences
from ilpyt.runners.runner import Runner, evaluate, play
from ilpyt.runners.video import record_video

__all__ = ["Batch", "Experiences", "Runner", "evaluate", "play", "record_video"]
