"""The picture of an episode's end, which a VecEnv's next episode would hide."""

from typing import Any

import gymnasium


class LastFrame(gymnasium.Wrapper):
    """Draws an episode's last state before a VecEnv resets the environment.

    Attributes:
        last_frame: how the latest episode ended, uint8 [H, W, 3]; None: none has.
    """

    def __init__(self, env: gymnasium.Env) -> None:
        super().__init__(env)
        self.last_frame: Any = None

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """One environment step; `(observation, reward, terminated, truncated, info)`."""
        result = self.env.step(action)
        if result[2] or result[3]:
            self.last_frame = self.env.render()
        return result
