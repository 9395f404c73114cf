"""An environment whose every step is known. It lies apart from torch, since worker processes import this file."""

import gymnasium
import numpy as np
from gymnasium import spaces


class Counter(gymnasium.Env):
    """Counts its steps: observation (episode, step), reward 1, ends by itself or by a time limit after `length` steps.

    `faults` maps an env step, counted over all episodes, to what goes wrong there.
    """

    def __init__(self, length=5, *, truncates=False, both=False, faults=None, action_space=None, info=None):
        self.observation_space = spaces.Box(-np.inf, np.inf, (2,), np.float32)
        self.action_space = action_space or spaces.Discrete(3)
        self.length, self.truncates, self.both = length, truncates, both
        self.faults = faults or {}
        self.info = info or {}
        self.episode, self.t, self.steps = -1, 0, 0
        self.seeds, self.actions = [], []

    def observe(self):
        return np.array([self.episode, self.t], np.float32)

    def reset(self, *, seed=None, options=None):
        self.seeds.append(seed)
        self.episode, self.t = self.episode + 1, 0
        return self.observe(), {}

    def step(self, action):
        self.t += 1
        self.actions.append(action)
        fault = self.faults.get(self.steps)
        self.steps += 1
        over = self.t >= self.length
        observation, reward = self.observe(), 1.0
        if callable(fault):
            result = fault()
            if result is not None:
                observation, reward = result
        return (
            observation,
            reward,
            over and (self.both or not self.truncates),
            over and (self.both or self.truncates),
            self.info,
        )

    @classmethod
    def rendered(cls):
        """One that draws."""
        env = cls()
        env.render_mode = "rgb_array"
        env.render = lambda: np.zeros((4, 4, 3), np.uint8)
        return env
