"""Whatever behaves like a Gym environment becomes a gymnasium one with plain spaces."""

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from ilpyt.envs import DummyVecEnv
from ilpyt.envs.adapter import adapt, convert_space, describe
from ilpyt.utils.errors import EnvError


class OldEnv:
    """As in gym 0.21: 4-tuple, `seed` method, `reset` without arguments or info, `render(mode)`."""

    observation_space = spaces.Box(-1, 1, (2,), np.float32)
    action_space = spaces.Discrete(2)

    def __init__(self, info=None):
        self.info, self.seeded = info or {}, None

    def seed(self, seed):
        self.seeded = seed

    def reset(self):
        return np.zeros(2, np.float32)

    def step(self, action):
        return np.ones(2, np.float32), 1.0, True, self.info

    def render(self, mode="human"):
        return mode

    def close(self):
        pass


class Spaced(gymnasium.Env):
    """An environment with any spaces."""

    def __init__(self, observation_space, action_space=None, observation=None):
        self.observation_space = observation_space
        self.action_space = action_space or spaces.Discrete(2)
        self.observation = observation
        self.taken = None

    def reset(self, *, seed=None, options=None):
        if self.observation is not None:
            return self.observation, {}
        self.observation_space.seed(0)
        return self.observation_space.sample(), {}

    def step(self, action):
        self.taken = action
        return self.reset()[0], 0.0, False, False, {}


def test_old_environment_is_seeded_by_its_method_and_ends_as_terminated():
    core = OldEnv()
    env = adapt(core)
    observation, info = env.reset(seed=7)
    assert core.seeded == 7
    assert observation.tolist() == [0, 0]
    assert info == {}
    assert env.step(0)[1:4] == (1.0, True, False)
    assert env.render() == "rgb_array"


def test_time_limit_in_an_old_info_is_a_truncation():
    env = adapt(OldEnv({"TimeLimit.truncated": True}))
    env.reset()
    _, _, terminated, truncated, _ = env.step(0)
    assert (terminated, truncated) == (False, True)


def test_time_limit_flag_of_false_is_a_termination():
    env = adapt(OldEnv({"TimeLimit.truncated": False}))
    env.reset()
    assert env.step(0)[2:4] == (True, False)


def test_environment_of_gym_022_that_takes_a_seed_and_gives_no_info():
    class Gym022(OldEnv):
        def reset(self, *, seed=None, return_info=False, options=None):
            self.seeded = seed
            return np.zeros(2, np.float32)

    core = Gym022()
    assert adapt(core).reset(seed=3)[1] == {}
    assert core.seeded == 3


def test_old_environment_under_gyms_own_time_limit():
    gym = pytest.importorskip("gym")
    from gym.envs.registration import register

    class Old(gym.Env, OldEnv):
        observation_space = gym.spaces.Box(-1, 1, (2,), np.float32)
        action_space = gym.spaces.Discrete(2)

        def reset(self):
            return np.zeros(2, np.float32)

        def step(self, action):
            return np.ones(2, np.float32), 1.0, False, {}

    register("OldUnderLimit-v0", entry_point=Old, max_episode_steps=2)
    env = adapt(gym.make("OldUnderLimit-v0", disable_env_checker=True))
    assert isinstance(env.observation_space, spaces.Box)
    env.reset(seed=1)
    assert [env.step(0)[2:4] for _ in range(2)] == [(False, False), (False, True)]
    assert describe(env)["env_id"] == "OldUnderLimit-v0"
    assert describe(env)["backend"] == "gym"


def test_wrappers_of_a_modern_environment_stay():
    env = gymnasium.make("CartPole-v1")
    assert adapt(env) is env


@pytest.mark.parametrize(
    ("space", "observation", "expected"),
    [
        (spaces.Discrete(4), 2, [0, 0, 1, 0]),
        (spaces.MultiBinary(3), np.array([1, 0, 1]), [1, 0, 1]),
        (spaces.MultiDiscrete([2, 3]), np.array([1, 0]), [0, 1, 1, 0, 0]),
        (spaces.Tuple([spaces.Discrete(2), spaces.Box(-1, 1, (2,))]), (1, np.array([0.5, -0.5])), [0, 1, 0.5, -0.5]),
        (spaces.Dict(a=spaces.Box(-1, 1, (1,)), b=spaces.Discrete(2)), {"a": np.array([0.5]), "b": 0}, [0.5, 1, 0]),
        (spaces.Box(-1, 1, (2, 2)), np.array([[0.1, 0.2], [0.3, 0.4]]), [0.1, 0.2, 0.3, 0.4]),
        (spaces.Box(-1, 1, ()), np.array(0.5), [0.5]),
    ],
)
def test_observations_become_vectors(space, observation, expected):
    env = adapt(Spaced(space, observation=observation))
    assert env.observation_space.shape == (len(expected),)
    np.testing.assert_allclose(env.reset()[0], expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("shape", "expected"),
    [((96, 96, 3), (96, 96, 3)), ((4, 84, 84), (84, 84, 4)), ((84, 84), (84, 84, 1)), ((2, 8, 9, 3), (8, 9, 6))],
)
def test_images_become_height_width_channels(shape, expected):
    env = adapt(Spaced(spaces.Box(0, 255, shape, np.uint8)))
    assert env.observation_space.shape == expected
    observation, _ = env.reset()
    assert observation.shape == expected
    assert observation.dtype == np.uint8


def test_stacked_frames_keep_their_pixels():
    frames = np.arange(2 * 4 * 5, dtype=np.uint8).reshape(2, 4, 5)
    env = adapt(Spaced(spaces.Box(0, 255, (2, 4, 5), np.uint8), observation=frames))
    np.testing.assert_array_equal(env.reset()[0][..., 1], frames[1])


def test_actions_counted_from_elsewhere_are_counted_from_0():
    core = Spaced(spaces.Box(-1, 1, (1,)), spaces.Discrete(3, start=-1))
    env = adapt(core)
    assert env.action_space == spaces.Discrete(3)
    env.reset()
    env.step(0)
    assert core.taken == -1


@pytest.mark.parametrize(
    "space", [spaces.MultiDiscrete([2, 2]), spaces.Dict(a=spaces.Discrete(2)), spaces.Box(0, 1, (2, 2))]
)
def test_unsupported_actions_are_refused_with_the_way_out(space):
    with pytest.raises(EnvError, match="TransformAction"):
        adapt(Spaced(spaces.Box(-1, 1, (1,)), space))


def test_observations_without_a_fixed_length_are_refused():
    with pytest.raises(EnvError, match="no fixed length"):
        adapt(Spaced(spaces.Sequence(spaces.Discrete(2))))


def test_wrappers_find_an_environments_own_attributes_and_random_numbers():
    class Own(Spaced):
        bonus = 7

        def reset(self, *, seed=None, options=None):
            gymnasium.Env.reset(self, seed=seed)
            return super().reset()

    class AddsBonus(gymnasium.Wrapper):
        def step(self, action):
            observation, reward, *rest = self.env.step(action)
            return observation, reward + self.env.unwrapped.bonus + self.env.np_random.random(), *rest

    rewards = []
    for _ in range(2):
        env = adapt(AddsBonus(Own(spaces.Box(-1, 1, (1,)))))
        env.reset(seed=3)
        rewards.append(env.step(0)[1])
    assert rewards[0] == rewards[1] > 7
    assert adapt(Own(spaces.Box(-1, 1, (1,)))).bonus == 7


def test_an_environment_needs_nothing_but_reset_step_and_spaces():
    class Bare:
        observation_space, action_space = spaces.Box(-1, 1, (1,)), spaces.Discrete(2)

        def reset(self):
            return np.zeros(1)

        def step(self, action):
            return np.zeros(1), 0.0, False, {}

    env = adapt(Bare())
    assert env.reset(seed=1)[0].tolist() == [0]
    assert env.step(0)[1:4] == (0.0, False, False)
    env.close()


class Passes(Spaced):
    """Refuses an action that isn't of its space, as many environments do."""

    def step(self, action):
        assert self.action_space.contains(action), action
        return super().step(action)


@pytest.mark.parametrize(
    ("space", "actions", "expected"),
    [
        (spaces.Box(-0.1, 0.1, (2,), np.float64), [9, -9], [0.1, -0.1]),  # float32(0.1) is above 0.1
        (spaces.Box(np.array([0, -2]), np.array([3, 2]), dtype=np.int32), [1.7, -9], [2, -2]),
    ],
)
def test_actions_of_another_dtype_are_within_the_environments_own_space(space, actions, expected):
    core = Passes(spaces.Box(-1, 1, (1,)), space)
    with DummyVecEnv([lambda: core]) as env:
        env.reset()
        env.step(np.array([actions], np.float32))
    assert core.taken.dtype == space.dtype
    assert core.taken.tolist() == expected


@pytest.mark.parametrize(
    ("space", "observation", "message"),
    [
        (spaces.Discrete(4), -1, r"its observation is -1, which is not in Discrete\(4\)"),
        (spaces.Discrete(4, start=1), 5, r"its observation is 5, which is not in Discrete\(4, start=1\)"),
        (spaces.Discrete(4), 0.5, r"its observation is 0.5, which is not in Discrete\(4\)"),
        (spaces.MultiDiscrete([2, 3]), np.array([2, 0]), r"its observation is \[2, 0\], which is not in MultiDiscrete"),
        (spaces.MultiBinary(2), [0, 2], r"its observation is \[0, 2\], which is not in MultiBinary"),
        (
            spaces.Dict(image=spaces.Box(0, 255, (2, 2), np.uint8)),
            {"image": np.full((2, 2), 0.5)},
            r"its observation\['image'\] is float64; uint8 was expected",
        ),
        (
            spaces.Dict(image=spaces.Box(0, 255, (2,), np.uint8)),
            {"image": [3, 256]},
            r"its observation\['image'\] has 256; uint8 holds 0 to 255",
        ),
        (
            spaces.Dict(a=spaces.Box(-1, 1, (1,)), b=spaces.Box(-1, 1, (2,))),
            {"a": [0, 0], "b": [0]},
            r"its observation\['a'\] has shape \[2\]; its space says \[1\]",
        ),
        (
            spaces.Dict(a=spaces.Tuple([spaces.Discrete(2), spaces.Discrete(3)])),
            {"a": (0, 3)},
            r"its observation\['a'\]\[1\] is 3, which is not in Discrete\(3\)",
        ),
        (spaces.Tuple([spaces.Discrete(2)] * 2), (0,), r"its observation has 1 part; its space says 2"),
        (spaces.Dict(a=spaces.Discrete(2)), {"b": 0}, r"its observation has no 'a', only 'b'"),
        (spaces.Dict(a=spaces.Discrete(2)), 0, r"its observation is int; its space says Dict"),
    ],
    ids=str,
)
def test_parts_of_an_observation_that_would_be_laid_out_wrong_are_named(space, observation, message):
    with DummyVecEnv([lambda: Spaced(space, observation=observation)]) as env:
        with pytest.raises(EnvError, match=r"environment 0 \(Spaced\) failed in reset: \w+: " + message):
            env.reset()


def test_parts_may_be_lists_and_whole_numbers_of_any_dtype():
    space = spaces.Dict(
        [("image", spaces.Box(0, 255, (2,), np.uint8)), ("on", spaces.Discrete(2)), ("two", spaces.MultiBinary(2))]
    )
    env = adapt(Spaced(space, observation={"two": [True, False], "on": np.array([True]), "image": [3, 255]}))
    assert env.reset()[0].tolist() == [3, 255, 0, 1, 1, 0]


def test_an_ordered_dict_of_gym_keeps_its_order():
    gym = pytest.importorskip("gym")
    space = gym.spaces.Dict([("b", gym.spaces.Discrete(2)), ("a", gym.spaces.Discrete(3))])
    assert list(convert_space(space)) == list(space) == ["b", "a"]
