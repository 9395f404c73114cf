"""Environments as users bring them. They lie apart from torch, since worker processes import this file."""

from copy import deepcopy

import gymnasium
import numpy as np
from gymnasium import spaces


class Own(gymnasium.Env):
    """Random observations of any space; the reward is a random number plus the action's; episodes end both ways."""

    def __init__(self, observation_space, action_space=None, limit=4, render_mode=None):
        self.observation_space = deepcopy(observation_space)  # each draws samples of its own
        self.action_space = action_space or spaces.Discrete(3)
        self.limit = limit

    def begin(self, seed):
        if seed is not None:
            self.rng = np.random.default_rng(seed)
            self.observation_space.seed(int(self.rng.integers(2**31)))
        self.t = 0
        return self.observation_space.sample()

    def advance(self, action):
        assert self.action_space.contains(action), action
        self.t += 1
        reward = self.rng.normal() + 100 * float(np.sum(action))
        return self.observation_space.sample(), reward, self.rng.random() < 0.2, self.t >= self.limit

    def reset(self, *, seed=None, options=None):
        return self.begin(seed), {}

    def step(self, action):
        return *self.advance(action), {}


class Old(Own):
    """As in gym 0.21: 4-tuple, `seed` method, `reset` gives an observation alone; not an environment by its class."""

    def seed(self, seed):
        self.given = seed

    def reset(self):
        given, self.given = getattr(self, "given", None), None
        return self.begin(given)

    def step(self, action):
        observation, reward, terminated, truncated = self.advance(action)
        info = {"TimeLimit.truncated": not terminated} if truncated else {}
        return observation, reward, terminated or truncated, info


class Scale(gymnasium.Wrapper):
    """A wrapper with an argument."""

    def __init__(self, env, factor):
        super().__init__(env)
        self.factor = factor

    def step(self, action):
        observation, reward, terminated, truncated, info = self.env.step(action)
        return observation, reward * self.factor, terminated, truncated, info
