"""The scripted experts, against their formulas evaluated state by state in plain Python."""

import numpy as np
import pytest
import torch

from ilpyt.agents import heuristic_agent as h


def cartpole(s):
    return 1 if 3 * s[2] + s[3] > 0 else 0


def mountain_car(s):
    x, v = s
    lb = min(-0.09 * (x + 0.25) ** 2 + 0.03, 0.3 * (x + 0.9) ** 4 - 0.008)
    ub = -0.07 * (x + 0.38) ** 2 + 0.07
    return 2 if lb < v < ub else 0


def mountain_car_continuous(s):
    x, v = s
    return [1.0 if x > -4 * v or x < 13 * v - 0.6 else -1.0]


def lander_todo(s):
    x, y, vx, vy, angle, spin, left, right = s
    angle_target = float(np.clip(0.5 * x + 1.0 * vx, -0.4, 0.4))
    angle_todo = 0.5 * (angle_target - angle) - spin
    hover_todo = 0.5 * (0.55 * abs(x) - y) - 0.5 * vy
    if left or right:
        angle_todo, hover_todo = 0.0, -0.5 * vy
    return hover_todo, angle_todo


def lander(s):
    hover, angle = lander_todo(s)
    if hover > abs(angle) and hover > 0.05:
        return 2
    if angle < -0.05:
        return 3
    return 1 if angle > 0.05 else 0


def lander_continuous(s):
    hover, angle = lander_todo(s)
    return np.clip([20 * hover - 1, -20 * angle], -1, 1).tolist()


def lander_states(n):
    states = np.random.default_rng(0).normal(size=(n, 8)) * [0.5, 0.7, 0.3, 0.3, 0.2, 0.2, 1, 1]
    states[:, 6:] = states[:, 6:] > 0.8
    return states


def car_states(n):
    return np.random.default_rng(0).uniform([-1.2, -0.07], [0.6, 0.07], (n, 2))


@pytest.mark.parametrize(
    ("agent", "formula", "states"),
    [
        (h.CartPoleHeuristicAgent, cartpole, np.random.default_rng(0).normal(size=(2000, 4))),
        (h.MountainCarHeuristicAgent, mountain_car, car_states(2000)),
        (h.MountainCarContinuousHeuristicAgent, mountain_car_continuous, car_states(2000)),
        (h.LunarLanderHeuristicAgent, lander, lander_states(2000)),
        (h.LunarLanderContinuousHeuristicAgent, lander_continuous, lander_states(2000)),
    ],
)
def test_expert_acts_by_its_formula(agent, formula, states):
    states = states.astype(np.float32)
    actions = agent().step(torch.from_numpy(states))
    expected = np.array([formula([float(x) for x in s]) for s in states])
    assert actions.dtype == (np.float32 if expected.ndim == 2 else np.int64)
    assert actions.shape == expected.shape
    assert np.isclose(actions, expected, atol=1e-5).all(axis=-1 if expected.ndim == 2 else None).mean() > 0.999
    assert len(np.unique(actions)) > 1


def test_experts_have_nothing_to_learn():
    assert h.CartPoleHeuristicAgent().update(None) == {}
