"""A task that takes doing the right thing: here it doesn't pay to last long, as it does on CartPole."""

import gymnasium
import numpy as np
from gymnasium import spaces

from ilpyt.agents import HeuristicAgent


class Seek(gymnasium.Env):
    """Observation (position, target); actions left, stay, right; reward minus the distance; 20 steps."""

    observation_space = spaces.Box(-1, 1, (2,), np.float32)
    action_space = spaces.Discrete(3)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        self.state = self.np_random.uniform(-1, 1, 2).astype(np.float32)
        return self.state.copy(), {}

    def step(self, action):
        self.t += 1
        self.state[0] = np.clip(self.state[0] + 0.2 * (action - 1), -1, 1)
        return self.state.copy(), -abs(float(self.state[0] - self.state[1])), False, self.t >= 20, {}


class Seeker(HeuristicAgent):
    """The expert: -2.2 on average; doing nothing gives -13, as does anything that doesn't look at the target."""

    def act(self, state):
        return ((state[:, 1] - state[:, 0]) / 0.2).round().clamp(-1, 1).long() + 1
