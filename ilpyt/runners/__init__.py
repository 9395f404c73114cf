"""Runners step an agent in environments; `Batch` and `Experiences` are what they hand back."""

from ilpyt.runners.experiences import Batch, Experiences
from ilpyt.runners.runner import Runner, evaluate

__all__ = ["Batch", "Experiences", "Runner", "evaluate"]
