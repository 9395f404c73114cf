"""What is said of demonstrations, and which problems are found."""

import numpy as np
import pytest

from ilpyt.runners import Experiences
from ilpyt.runners.describe import Finding, describe, find_problems, named_env
from tests.conftest import ROOT

CARTPOLE = {"env_id": "CartPole-v1", "backend": "gymnasium"}
TWO_STATES = np.tile([[1, 2], [2, 1]], (3, 2))  # by turns, [6, 4]


def demos(states=None, actions=None, rewards=None, metadata=CARTPOLE, **flags):
    """Episodes of 3, 2 and 1 transitions, with states 0, 0.01, ... 0.23."""
    states = np.arange(24.0).reshape(6, 4) / 100 if states is None else states
    flags = flags or {"dones": [0, 0, 1, 0, 1, 1], "truncated": [0, 0, 1, 0, 0, 0]}
    actions = [0, 1, 1, 1, 1, 0] if actions is None else actions
    return Experiences.from_arrays(states, actions, [1, 2, 3, 4, 5, 7] if rewards is None else rewards,
                                   metadata=metadata, **flags)  # fmt: skip


def test_all_of_it_in_aligned_columns():
    assert describe(demos(), "demos.pkl").splitlines() == [
        "demos.pkl",
        "",
        "episodes     3, of which 1 were cut off",
        "transitions  6",
        "length       1 / 2 / 3  (min / median / max)",
        "return       7.33 +/- 1.25  (from 6.00 to 9.00)",
        "",
        "states  float32 [6, 4]",
        "  dimension   min  mean   max",
        "          0     0   0.1   0.2",
        "          1  0.01  0.11  0.21",
        "          2  0.02  0.12  0.22",
        "          3  0.03  0.13  0.23",
        "",
        "actions  int64 [6]",
        "  value  count  share",
        "      0      2  33.3%",
        "      1      4  66.7%",
        "",
        "metadata",
        "  env_id   CartPole-v1",
        "  backend  gymnasium",
        "",
        "problems",
        "  none found",
    ]


def test_continuous_actions_and_images_have_ranges():
    images = np.zeros((6, 8, 9, 3), np.uint8)
    images[2, 3] = 200
    text = describe(demos(images, np.arange(12).reshape(6, 2) / 8, metadata={}), "it", [])
    assert "states  uint8 [6, 8, 9, 3]\n  from 0 to 200\n" in text
    assert text.partition("actions  float32 [6, 2]\n")[2].splitlines()[:3] == [
        "  dimension    min   mean    max",
        "          0      0  0.625   1.25",
        "          1  0.125   0.75  1.375",
    ]


HOSTILE = "\x1b]0;pwned\x07\x1b[2J\r\n\x9b\u202e\udc80é"
SHOWN = r"\x1b]0;pwned\x07\x1b[2J\r\n\x9b\u202e\udc80é"


def test_nothing_of_a_file_reaches_the_terminal_unescaped():
    metadata = {"author": HOSTILE, HOSTILE: "x", "nested": [{HOSTILE: 1}], "env_id": f"{HOSTILE}-v0", 3: 4}
    text = describe(demos(metadata=metadata), "it\x1b[2J")
    assert all(character.isprintable() or character == "\n" for character in text)
    assert r"it\x1b[2J" in text.splitlines()[0]
    rows = [line.split(None, 1) for line in text.partition("\nmetadata\n")[2].partition("\n\n")[0].splitlines()]
    assert rows[0] == ["author", SHOWN]
    assert [SHOWN, "x"] in rows
    assert ["3", "4"] in rows


def test_long_metadata_are_shortened():
    metadata = {"a" * 1000: "b" * 10**6, "c": list(range(10**5)), "d": "\x1b" * 1000, "e": "f" * 200}
    text = describe(demos(metadata=metadata), "it", [Finding("g" * 10**4)])
    rows = [line.split(None, 1) for line in text.partition("\nmetadata\n")[2].partition("\n\n")[0].splitlines()]
    assert rows[0] == ["a" * 57 + "...", "b" * 197 + "..."]
    assert (rows[1][1][:9], rows[1][1][-3:]) == ("[0, 1, 2,", "...")
    assert all(len(value) <= 200 for _, value in rows)
    assert rows[3] == ["e", "f" * 200]
    assert max(map(len, text.splitlines())) < 1010


def test_long_tables_end():
    lines = describe(demos(np.arange(600).reshape(6, 100), metadata={}), "it", []).splitlines()
    start = lines.index("states  float32 [6, 100]")
    assert lines[start + 41].split()[0] == "39"
    assert lines[start + 42 : start + 44] == ["  and 60 more", ""]


def found(experiences):
    return [(finding.text, finding.is_fatal) for finding in find_problems(experiences)]


def with_value(value):
    states = np.arange(24.0).reshape(6, 4) / 100
    states[4, 2] = value
    return states


@pytest.mark.parametrize(
    ("experiences", "text", "is_fatal"),
    [
        (Experiences(np.zeros((0, 4)), np.zeros(0), np.zeros(0), np.zeros(0)), "there are no transitions", True),
        (
            demos(with_value(np.nan)),
            "states hold nan or infinity 1 times, first of episode 1, step 1",
            True,
        ),
        (demos(actions=[0, 1, 2, 1, 1, 0]), "the action of episode 0, step 2 is 2, out of range for CartPole-v1", True),
        (demos(np.arange(30).reshape(6, 5)), "a state has shape [5], in CartPole-v1 it has [4]", True),
        (demos(dones=[0, 0, 1, 0, 1, 0]), "the last episode is unfinished", False),
        (demos(with_value(0.18) * [1, 0, 1, 0]), "constant state dimensions: 1, 3", False),
        (demos(TWO_STATES, [0, 1] * 3, dones=[0, 1] * 3), "episodes that are there twice: 1 is 0, 2 is 0", False),
        (demos(rewards=[0] * 6), "all rewards are 0", False),
        (demos(metadata={}), "the metadata have no env_id", False),
        (demos(metadata={"env_id": "Nowhere-v0"}), "can't be built here: there is no environment 'Nowhere-v0'", False),
    ],
)  # fmt: skip
def test_a_problem_is_found_and_is_the_only_one(experiences, text, is_fatal):
    assert [(text in problem, fatal) for problem, fatal in found(experiences)] == [(True, is_fatal)]
    assert ("ERROR" in describe(experiences, "it")) == is_fatal


def test_an_episode_that_goes_on_otherwise_is_not_a_duplicate():
    assert found(demos(TWO_STATES, [0, 1, 0, 0, 1, 1], dones=[0, 1] * 3)) == []


def test_an_environment_of_gym_is_looked_for_in_gym():
    assert named_env(demos()) == "CartPole-v1"
    assert named_env(demos(metadata={**CARTPOLE, "backend": "gym"})) == "gym:CartPole-v1"


@pytest.mark.parametrize("env_id", ["CartPole-v0", "MountainCarContinuous-v0"])
def test_the_bundled_demonstrations_have_no_problem(env_id):
    assert found(Experiences.load(ROOT / "demos" / env_id / "demos.pkl")) == []


@pytest.mark.parametrize("env_id", ["strangers_module:Evil-v0", "strangers_module.(x:Foo-v0", "strangers_module:(x"])
def test_no_module_is_imported_for_what_a_file_says(env_id, strangers_module):
    demos = Experiences(np.zeros((2, 4)), [0, 1], [1, 1], [False, True], metadata={"env_id": env_id})
    (finding,) = [f for f in find_problems(demos) if strangers_module in f.text]
    assert f"a module would be imported for {env_id!r}" in finding.text
    assert not finding.is_fatal


def test_an_environment_that_is_named_goes_before_the_metadata():
    demos = Experiences(np.zeros((2, 4)), [0, 2], [1, 1], [False, True], metadata={"env_id": "strangers:Evil-v0"})
    (finding,) = [f for f in find_problems(demos, "CartPole-v1") if f.is_fatal]
    assert "out of range for CartPole-v1" in finding.text
