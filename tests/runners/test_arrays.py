"""`Experiences.from_arrays`: what people have, and what is wrong with it."""

import numpy as np
import pytest
import torch

from ilpyt.runners import Experiences
from ilpyt.utils.errors import DataError

LENGTHS = (3, 2)
STATES = np.arange(20, dtype=np.float64).reshape(5, 4)
ACTIONS = np.array([0, 1, 0, 1, 1])
REWARDS = np.array([1.0, 2, 3, 4, 5])
ENDS = [False, False, True, False, True]


def in_episodes(array, extra=0):
    """One array an episode; `extra` rows of -1 after each."""
    parts = np.split(np.asarray(array), np.cumsum(LENGTHS)[:-1])
    return [np.concatenate([part, np.full((extra, *part.shape[1:]), -1)]) for part in parts]


def check(experiences, truncated, rewards=REWARDS):
    np.testing.assert_array_equal(experiences.states, STATES)
    np.testing.assert_array_equal(experiences.actions, ACTIONS)
    np.testing.assert_array_equal(experiences.rewards, rewards)
    assert experiences.dones.tolist() == ENDS
    assert experiences.truncated.tolist() == truncated


NONE, FIRST, BOTH = [False] * 5, [False, False, True, False, False], ENDS


@pytest.mark.parametrize(
    ("flags", "truncated"),
    [
        ({"dones": ENDS}, NONE),
        ({"dones": np.array(ENDS, np.float32)}, NONE),
        ({"terminated": ENDS}, NONE),
        ({"truncated": ENDS}, BOTH),
        ({"terminated": [0, 0, 0, 0, 1], "truncated": [0, 0, 1, 0, 0]}, FIRST),
        ({"terminated": [0, 0, 0, 0, 1], "truncated": [0, 0, 1, 0, 1]}, FIRST),
        ({"dones": ENDS, "terminated": [0, 0, 0, 0, 1]}, FIRST),
        ({"dones": ENDS, "truncated": [0, 0, 1, 0, 0]}, FIRST),
    ],
)
def test_flat_arrays(flags, truncated):
    check(Experiences.from_arrays(STATES, ACTIONS, REWARDS, **flags), truncated)


@pytest.mark.parametrize("extra", [0, 1])
@pytest.mark.parametrize(
    ("flags", "truncated"),
    [
        ({}, NONE),
        ({"truncated": [True, False]}, FIRST),
        ({"terminated": [False, True]}, FIRST),
        ({"terminated": [False, True], "truncated": [True, True]}, FIRST),
        ({"truncated": [[False, False, True], [False, False]]}, FIRST),
        ({"terminated": [np.zeros(3, bool), torch.tensor([False, True])]}, FIRST),
    ],
)
def test_a_list_of_one_array_an_episode(extra, flags, truncated):
    made = Experiences.from_arrays(
        in_episodes(STATES, extra), in_episodes(ACTIONS), in_episodes(REWARDS), **flags, metadata={"by": "hand"}
    )
    check(made, truncated)
    assert made.metadata == {"by": "hand"}


@pytest.mark.parametrize("kind", ["lists", "tensors", "objects", "tuple"])
def test_episodes_in_other_containers(kind):
    containers = {
        "lists": lambda parts: [part.tolist() for part in parts],
        "tensors": lambda parts: [torch.from_numpy(part).requires_grad_(part.dtype == np.float64) for part in parts],
        "objects": lambda parts: np.array([*parts, None], dtype=object)[:-1],
        "tuple": tuple,
    }
    make = containers[kind]
    check(Experiences.from_arrays(make(in_episodes(STATES)), make(in_episodes(ACTIONS)), rewards=None), NONE, [0] * 5)


def test_lists_of_single_transitions_are_flat():
    made = Experiences.from_arrays(list(STATES), ACTIONS.tolist(), dones=ENDS)
    check(made, NONE, [0] * 5)
    assert made.get_episode_rewards() == [0, 0]


def test_images_are_told_from_episodes_of_images():
    images = np.arange(2 * 4 * 5 * 3, dtype=np.uint8).reshape(2, 4, 5, 3)
    flat = Experiences.from_arrays(images, [0, 1], dones=[0, 1])
    listed = Experiences.from_arrays([images], [[0, 1]])
    for made in (flat, listed):
        assert made.states.dtype == torch.uint8
        np.testing.assert_array_equal(made.states, images)
        assert made.dones.tolist() == [False, True]


def test_an_array_of_episodes_of_one_length_is_episodes():
    made = Experiences.from_arrays(np.zeros((3, 6, 4)), np.zeros((3, 5, 2)))
    assert [len(episode) for episode in made.episodes()] == [5, 5, 5]
    assert made.actions.shape == (15, 2)


def test_an_array_of_episodes_of_vectors_goes_with_whole_actions_a_step():
    states = np.arange(3 * 6 * 4, dtype=np.float64).reshape(3, 6, 4)
    for given in (states, torch.from_numpy(states)):
        made = Experiences.from_arrays(given, np.zeros((3, 6), np.int64), np.ones((3, 6)), truncated=[1, 0, 1])
        np.testing.assert_array_equal(made.states, states.reshape(18, 4))
        assert made.dones.tolist() == ([False] * 5 + [True]) * 3
        assert made.truncated.nonzero().flatten().tolist() == [5, 17]


GREY = np.zeros((5, 8, 9), np.uint8)  # 5 images, or 5 episodes of 8 vectors


@pytest.mark.parametrize(
    "rest",
    [
        {"actions": ACTIONS, "dones": ENDS},
        {"actions": np.zeros((5, 8)), "dones": ENDS},
        {"actions": np.zeros((5, 8), int), "dones": ENDS},
        {"actions": np.zeros((5, 8)), "terminated": ENDS},
        {"actions": np.zeros((5, 7))},
        {"actions": np.zeros((5, 8), int), "rewards": REWARDS, "terminated": ENDS},
        {"actions": ACTIONS},
    ],
)
@pytest.mark.parametrize("grey", [GREY, torch.from_numpy(GREY)], ids=["array", "tensor"])
def test_flat_grey_images_arent_read_as_episodes(grey, rest):
    with pytest.raises(
        DataError, match=r"states have shape \[5, 8, 9\].* grey images.* \[5, 8, 9, 1\].* list\(states\)"
    ):
        Experiences.from_arrays(grey, **rest)


def test_with_a_last_dimension_of_1_they_are_images():
    made = Experiences.from_arrays(GREY[..., None], np.zeros((5, 8)), terminated=ENDS)
    assert (made.states.shape, made.states.dtype) == ((5, 8, 9, 1), torch.uint8)
    assert made.dones.tolist() == ENDS


def test_a_list_of_arrays_is_one_of_episodes_whatever_their_actions():
    made = Experiences.from_arrays(list(GREY), np.zeros((5, 8)))
    assert [len(episode) for episode in made.episodes()] == [8] * 5


@pytest.mark.parametrize("name", ["dones", "terminated", "truncated"])
@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["False", "False", "False", "False", "True"], "must be bool, or 0 and 1, not '?False"),
        ([0, 0, 1, 0, float("nan")], "must be bool, or 0 and 1, not nan"),
        ([0, 0, 2, 0, 1], "must be bool, or 0 and 1, not 2"),
        ([False, None, True, False, True], "must be bool, or 0 and 1, not None"),
        (np.array(ENDS)[:, None], r"must have shape \[5\], not \[5, 1\]"),
        (True, r"must have shape \[5\], not \[\]"),
    ],
)
def test_flags_are_bool_or_0_and_1_one_a_transition(name, values, message):
    flags = {"dones": ENDS, name: values}
    with pytest.raises(DataError, match=f"{name} {message}"):
        Experiences.from_arrays(STATES, ACTIONS, **flags)


@pytest.mark.parametrize("name", ["terminated", "truncated"])
def test_flags_of_episodes_are_bool_or_0_and_1(name):
    with pytest.raises(DataError, match=f"episode 1: {name} must be bool, or 0 and 1, not nan"):
        Experiences.from_arrays(in_episodes(STATES), in_episodes(ACTIONS), **{name: [True, float("nan")]})


def test_flags_as_objects_are_taken_where_they_are_bools():
    made = Experiences.from_arrays(STATES, ACTIONS, dones=np.array(ENDS, dtype=object))
    assert made.dones.tolist() == ENDS


def test_no_demonstrations_at_all_are_refused():
    with pytest.raises(DataError, match="where do episodes end"):
        Experiences.from_arrays([], [])


S, A = in_episodes(STATES), in_episodes(ACTIONS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"states": STATES, "actions": ACTIONS}, "where do episodes end"),
        ({"states": STATES, "actions": ACTIONS[:4], "dones": ENDS}, "states 5, actions 4, rewards 4, dones 5"),
        ({"states": STATES, "actions": ACTIONS, "dones": ENDS[:4]}, "states 5, actions 5, rewards 5, dones 4"),
        ({"states": STATES, "actions": ACTIONS, "dones": ENDS, "truncated": [1, 0, 0, 0, 0]}, "transition 0 is trunc"),
        ({"states": S, "actions": A, "dones": ENDS}, "dones go with flat arrays"),
        ({"states": S, "actions": A[:1]}, "states are of 2 episodes, actions of 1"),
        ({"states": S, "actions": ACTIONS}, "states are of 2 episodes, actions of 5"),
        ({"states": S, "actions": [0, 1]}, r"episode 0: states \[3, 4\] are an episode of .*one number"),
        ({"states": S, "actions": [A[0], []]}, "episode 1 has no actions"),
        ({"states": [S[0][:2], S[1]], "actions": A}, "episode 0 has 2 states and 3 actions"),
        ({"states": [S[0], np.zeros((4, 4))], "actions": A}, "episode 1 has 4 states and 2 actions"),
        ({"states": [S[0], np.zeros((2, 5))], "actions": A}, r"states of episode 1 have shape \[5\] each, of.*0 \[4\]"),
        (
            {"states": S, "actions": A, "rewards": [[1, 2, 3], [1]]},
            r"episode 1: rewards have shape \[1\], expected \[2",
        ),
        ({"states": S, "actions": A, "truncated": [[0, 1, 0], [0, 0]]}, "episode 0: truncated is true at step 1 of 3"),
        ({"states": S, "actions": A, "terminated": [[0, 1], [0, 0]]}, r"episode 0: terminated has shape \[2\]"),
        ({"states": [[[1, 2], [3]], S[1]], "actions": A}, "states can't be made an array"),
    ],
)
def test_what_is_wrong_is_named(arguments, message):
    with pytest.raises(DataError, match=message):
        Experiences.from_arrays(**arguments)
