"""`DiscretizeAction`: continuous actions as a grid of discrete ones."""

from itertools import product

import gymnasium
import numpy as np
from gymnasium import spaces

MAX_ACTIONS = 10_000


class DiscretizeAction(gymnasium.ActionWrapper):
    """Lets algorithms for discrete actions, such as DQN, act in an environment with a one-dimensional Box of actions.

    `build_env(env_id, wrappers=[DiscretizeAction])`, or `wrappers=[partial(DiscretizeAction, bins=5)]`.
    """

    def __init__(self, env: gymnasium.Env, bins: int = 3) -> None:
        """Lay a grid over the actions.

        Args:
            env: an environment whose actions are a Box [A] with finite bounds.
            bins: values in each dimension, evenly spaced, bounds included: `bins ** A` discrete actions.
        """
        super().__init__(env)
        space = env.action_space
        if not isinstance(space, spaces.Box) or len(space.shape) != 1 or not space.is_bounded():
            raise ValueError(f"DiscretizeAction takes actions of a one-dimensional Box with finite bounds, got {space}")
        if bins < 2:
            raise ValueError(f"bins must be at least 2, got {bins}")
        number = bins ** space.shape[0]
        if number > MAX_ACTIONS:
            raise ValueError(f"{bins} values a dimension make {number:,} actions, more than {MAX_ACTIONS:,}")
        axes = [np.linspace(low, high, bins) for low, high in zip(space.low, space.high, strict=True)]
        self.grid = np.array(list(product(*axes)), dtype=space.dtype)
        self.action_space = spaces.Discrete(len(self.grid))

    def action(self, action: int) -> np.ndarray:
        """The point of the grid, [A], that a discrete action stands for; the last dimension varies fastest."""
        return self.grid[action].copy()
