"""Laying out the values of a space, and back."""

import re

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from ilpyt.envs import build_env
from ilpyt.envs.layout import plain_actions, plain_observations
from ilpyt.envs.original import original
from ilpyt.utils.errors import EnvError

OBSERVATIONS = [
    spaces.Box(-1, 1, (3,), np.float64),
    spaces.Box(-1, 1, (2, 3)),
    spaces.Box(-1, 1, ()),
    spaces.Box(0, 255, (8, 9, 3), np.uint8),
    spaces.Box(0, 255, (3, 8, 9), np.uint8),
    spaces.Box(0, 255, (8, 9), np.uint8),
    spaces.Box(0, 255, (2, 8, 9, 3), np.uint8),
    spaces.Discrete(4, start=2),
    spaces.MultiDiscrete([2, 3]),
    spaces.MultiBinary(3),
    spaces.Tuple([spaces.Discrete(2), spaces.Box(-1, 1, (2,))]),
    spaces.Dict(b=spaces.Box(-1, 1, (2, 2)), a=spaces.Discrete(3, start=1)),
]


def equal(a, b):
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[key], b[key]) for key in a)
    if isinstance(a, tuple):
        return all(map(equal, a, b))
    return np.array_equal(a, b)


@pytest.mark.parametrize("space", OBSERVATIONS, ids=str)
def test_what_is_laid_out_comes_back(space):
    layout = plain_observations(space, "it")
    space.seed(0)
    for _ in range(5):
        value = space.sample()
        plain = np.asarray(layout.to_plain(value), layout.space.dtype)
        assert layout.space.contains(plain)
        # what learners keep is float32
        kept = plain if plain.dtype == np.uint8 else plain.astype(np.float32)
        back = layout.from_plain(kept)
        assert space.contains(back)
        if space.dtype == np.float64:
            assert back.dtype == np.float64
            np.testing.assert_allclose(back, value, atol=1e-7)
        else:
            assert equal(back, value)


@pytest.mark.parametrize("space", [space for space in OBSERVATIONS if isinstance(space, spaces.Box) and space.shape])
def test_an_observation_of_another_shape_is_refused_in_its_own_words(space):
    layout = plain_observations(space, "it")
    if layout.changes_nothing:  # a VecEnv compares its shape
        return
    other = np.zeros(space.shape[::-1], space.dtype)
    words = f"its observation has shape {list(other.shape)}; its space says {list(space.shape)}"
    with pytest.raises(ValueError, match=re.escape(words)):
        layout.to_plain(other)


@pytest.mark.parametrize(("shape", "returned"), [((2, 3), (3, 2)), ((3, 8, 9), (8, 9, 3))])
def test_an_environment_that_returns_another_shape_fails_instead_of_being_scrambled(shape, returned):
    class Turned(gymnasium.Env):
        observation_space, action_space = spaces.Box(-1, 1, shape), spaces.Discrete(2)

        def reset(self, *, seed=None, options=None):
            return np.zeros(returned, np.float32), {}

    words = (
        f"Turned) failed in reset: ValueError: its observation has shape {list(returned)}; its space says {list(shape)}"
    )
    with build_env(Turned, num_env=1) as env, pytest.raises(EnvError, match=re.escape(words)):
        env.reset()


def test_observations_too_long_for_a_vector_are_refused():
    with pytest.raises(EnvError, match=r"1,000,000,000,000 numbers"):
        plain_observations(spaces.Tuple([spaces.Discrete(2), spaces.Discrete(10**12 - 2)]), "it")


def test_actions_are_counted_from_0_and_back():
    layout = plain_actions(spaces.Discrete(3, start=-1), "it")
    assert layout.space == spaces.Discrete(3)
    assert [layout.to_plain(a) for a in (-1, 0, 1)] == [0, 1, 2]
    assert [layout.from_plain(a) for a in (0, 1, 2)] == [-1, 0, 1]


def test_a_specification_makes_the_environment_with_its_wrappers_and_checks():
    wrap = [lambda env: gymnasium.wrappers.FlattenObservation(env)]
    with build_env("CartPole-v1", num_env=1, wrappers=wrap, render_mode="rgb_array") as env:
        spec = original(env).spec
    again = gymnasium.make(spec)
    assert isinstance(again, gymnasium.wrappers.FlattenObservation)
    assert again.render_mode is None
    with pytest.raises(gymnasium.error.ResetNeeded):
        again.step(0)


def test_why_there_is_no_specification():
    def shift_actions(env):
        env.unwrapped.action_space = spaces.Discrete(2, start=1)
        return env

    scaled = spaces.Box(-1, 1, (4,))
    wrap = [lambda env: gymnasium.wrappers.TransformObservation(env, lambda x: x / 10, scaled)]
    for env_id, wrappers, why in [
        (lambda: gymnasium.make("CartPole-v1").unwrapped.__class__(), [], "made by a function"),
        ("gym:CartPole-v1", [], "made by gym, not by gymnasium"),
        ("CartPole-v1", wrap, "gymnasium can't make CartPole-v1"),
        ("CartPole-v1", [shift_actions], "its action_space would be Discrete(2), not Discrete(2, start=1)"),
    ]:
        if env_id == "gym:CartPole-v1":
            pytest.importorskip("gym")
        with build_env(env_id, num_env=1, wrappers=wrappers) as env:
            found = original(env)
        assert found.spec is None
        assert why in found.why_no_spec
