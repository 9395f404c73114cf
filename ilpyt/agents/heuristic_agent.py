"""The scripted experts of the paper's five environments, acting on all environments at once.

Sources: Z. Xiao, *Reinforcement Learning: Theory and Python Implementation* (the paper's [15]); for LunarLander the
`heuristic` function of the Gym repository's `lunar_lander.py`.
"""

import abc

import numpy as np
import torch
from torch import Tensor

from ilpyt.agents.base_agent import BaseAgent


class HeuristicAgent(BaseAgent):
    """A scripted expert: it acts, and has nothing to learn. Extend it by `act`."""

    def initialize(self) -> None:
        """There is nothing to register."""

    @abc.abstractmethod
    def act(self, state: Tensor) -> Tensor:
        """Actions int64 [N] or float32 [N, A] for states float32 [N, *obs]."""

    def step(self, state: Tensor) -> np.ndarray:
        """The expert's actions for states [N, *obs]."""
        return self.act(state).cpu().numpy()

    def update(self, batch: object) -> dict[str, float]:
        """Nothing to learn."""
        return {}


class CartPoleHeuristicAgent(HeuristicAgent):
    """Pushes towards where the pole is falling."""

    def act(self, state: Tensor) -> Tensor:
        """1 (right) or 0 (left); states are (position, velocity, angle, angular velocity)."""
        _, _, angle, angular_velocity = state.unbind(-1)
        return (3 * angle + angular_velocity > 0).long()


class MountainCarHeuristicAgent(HeuristicAgent):
    """Pushes right inside a region of the (position, velocity) plane, left outside."""

    def act(self, state: Tensor) -> Tensor:
        """2 (right) or 0 (left); states are (position, velocity)."""
        x, v = state.unbind(-1)
        lower = torch.minimum(-0.09 * (x + 0.25) ** 2 + 0.03, 0.3 * (x + 0.9) ** 4 - 0.008)
        upper = -0.07 * (x + 0.38) ** 2 + 0.07
        return 2 * ((lower < v) & (v < upper)).long()


class MountainCarContinuousHeuristicAgent(HeuristicAgent):
    """Full force one way or the other."""

    def act(self, state: Tensor) -> Tensor:
        """+1 or -1, [N, 1]; states are (position, velocity)."""
        x, v = state.unbind(-1)
        right = (x > -4 * v) | (x < 13 * v - 0.6)
        return torch.where(right, 1.0, -1.0).unsqueeze(-1)


class _LanderHeuristicAgent(HeuristicAgent):
    """The PD controller that both landers share."""

    def todo(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """How much to lift, and to turn, [N] each.

        States are (x, y, vx, vy, angle, angular velocity, left leg down, right leg down).
        """
        x, y, vx, vy, angle, angular_velocity, left_leg, right_leg = state.unbind(-1)
        angle_target = (0.5 * x + 1.0 * vx).clamp(-0.4, 0.4)
        hover_target = 0.55 * x.abs()
        angle_todo = 0.5 * (angle_target - angle) - angular_velocity
        hover_todo = 0.5 * (hover_target - y) - 0.5 * vy
        landed = (left_leg > 0) | (right_leg > 0)
        return torch.where(landed, -0.5 * vy, hover_todo), torch.where(landed, 0.0, angle_todo)


class LunarLanderHeuristicAgent(_LanderHeuristicAgent):
    """The PD controller, on engines that are on or off."""

    def act(self, state: Tensor) -> Tensor:
        """0 (nothing), 1 (left engine), 2 (main engine) or 3 (right engine)."""
        hover, angle = self.todo(state)
        turn = torch.where(angle < -0.05, 3, torch.where(angle > 0.05, 1, 0))
        return torch.where((hover > angle.abs()) & (hover > 0.05), 2, turn)


class LunarLanderContinuousHeuristicAgent(_LanderHeuristicAgent):
    """The PD controller, on engines that can be throttled."""

    def act(self, state: Tensor) -> Tensor:
        """(main engine, lateral engines), each in -1..1, [N, 2]."""
        hover, angle = self.todo(state)
        return torch.stack([20 * hover - 1, -20 * angle], dim=-1).clamp(-1, 1)
