"""ilpyt: imitation learning research in PyTorch.

Algorithms (`ilpyt.algos`) orchestrate agents (`ilpyt.agents`: networks, optimizers, an update rule);
runners (`ilpyt.runners`) step vectorized environments (`ilpyt.envs`) and hand back batches of transitions;
networks (`ilpyt.nets`) are chosen to fit an environment's spaces. `ilpyt.presets` has settings that learn the paper's
environments, `ilpyt.zoo` agents that have learnt them.

Sub-packages load on first use, so that a process that only steps environments never imports torch.
"""

from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ilpyt import agents, algos, envs, nets, plots, presets, runners, utils, zoo

__version__ = "0.1.0"
__all__ = ["agents", "algos", "envs", "nets", "plots", "presets", "runners", "utils", "zoo"]


def __getattr__(name: str) -> ModuleType:
    if name in __all__:
        return import_module(f"ilpyt.{name}")
    raise AttributeError(f"module 'ilpyt' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
