"""A grid over continuous actions."""

from functools import partial

import numpy as np
import pytest
from gymnasium import spaces

from ilpyt.envs import DiscretizeAction, build_env
from tests.counter import Counter

TWO = spaces.Box(np.float32([-1, 0]), np.float32([1, 10]))


def counter():
    return Counter(action_space=TWO)


def test_actions_are_the_points_of_a_grid_bounds_included():
    env = DiscretizeAction(counter(), bins=3)
    assert env.action_space == spaces.Discrete(9)
    expected = [[x, y] for x in (-1, 0, 1) for y in (0, 5, 10)]
    assert np.array_equal([env.action(a) for a in range(9)], expected)
    env.reset()
    env.step(5)
    assert env.unwrapped.actions[0].tolist() == [0, 10]
    assert env.unwrapped.actions[0].dtype == np.float32


@pytest.mark.parametrize("vecenv_type", ["dummy", "subproc"])
def test_build_env_puts_wrappers_around_every_environment(vecenv_type):
    wrappers = [partial(DiscretizeAction, bins=5)]
    with build_env("LunarLanderContinuous-v2", 3, vecenv_type=vecenv_type, wrappers=wrappers) as env:
        assert env.type == "discrete"
        assert env.num_actions == 25
        assert env.description["env_id"] == "LunarLanderContinuous-v3"
        env.reset(seed=0)
        discrete = env.step(np.array([0, 12, 24]))[0]
    with build_env("LunarLanderContinuous-v2", 3) as env:
        env.reset(seed=0)
        continuous = env.step(np.array([[-1, -1], [0, 0], [1, 1]], np.float32))[0]
    assert np.array_equal(discrete, continuous)


def test_the_first_wrapper_is_innermost_and_old_environments_can_be_wrapped():
    with build_env("gym:MountainCarContinuous-v0", 1, wrappers=[partial(DiscretizeAction, bins=2)]) as env:
        assert env.num_actions == 2
        env.reset(seed=0)
        env.step(np.array([1]))
    with pytest.raises(Exception, match="one-dimensional Box"):
        build_env(counter, 1, wrappers=[DiscretizeAction, DiscretizeAction])


@pytest.mark.parametrize(
    "space", [spaces.Discrete(3), spaces.Box(-np.inf, np.inf, (2,)), spaces.Box(-1, 1, (2, 2))], ids=str
)
def test_what_has_no_grid_is_refused(space):
    with pytest.raises(ValueError, match="one-dimensional Box with finite bounds"):
        DiscretizeAction(Counter(action_space=space))


def test_an_environment_that_changes_its_action_leaves_the_grid_alone():
    env = DiscretizeAction(counter())
    env.action(0)[:] = 7
    assert env.action(0).tolist() == [-1, 0]


def test_an_old_environment_renders_behind_a_wrapper():
    class Old:
        observation_space, action_space, metadata = TWO, TWO, {}

        def reset(self):
            return np.zeros(2, np.float32)

        def step(self, action):
            return np.zeros(2, np.float32), 0.0, False, {}

        def render(self, mode="human"):
            return np.zeros((2, 2, 3), np.uint8)

    with build_env(Old, 1, wrappers=[DiscretizeAction]) as env:
        env.reset()
        assert env.render()[0].shape == (2, 2, 3)


def test_a_grid_of_too_many_points_is_refused():
    with pytest.raises(ValueError, match="3 values a dimension make 129,140,163 actions, more than 10,000"):
        DiscretizeAction(Counter(action_space=spaces.Box(-1, 1, (17,))))


def test_a_grid_has_at_least_two_points():
    with pytest.raises(ValueError, match="bins must be at least 2, got 1"):
        DiscretizeAction(counter(), bins=1)


def test_an_environment_of_gym_behind_a_wrapper_is_still_known_as_gyms():
    with build_env("gym:MountainCarContinuous-v0", num_env=2, wrappers=[DiscretizeAction]) as env:
        assert env.description["backend"] == "gym"
        assert env.description["env_id"] == "MountainCarContinuous-v0"
