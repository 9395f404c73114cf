"""`ilpyt.recording.keymaps`: each key's action is the environment's, left goes left, a person's own are checked."""

import json

import numpy as np
import pytest

from ilpyt.envs import build_env
from ilpyt.recording.keymaps import KEYMAPS, Keymap, choose_keymap, read_keys
from ilpyt.utils.errors import DataError

pygame = pytest.importorskip("pygame")

VERSIONS = {"CartPole": 1, "MountainCar": 0, "MountainCarContinuous": 0}  # the others': 3


@pytest.fixture(autouse=True)
def hidden_display(monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    pygame.display.init()
    yield
    pygame.quit()


def code(name):
    return pygame.key.key_code(name)


def make(name):
    return build_env(f"{name}-v{VERSIONS.get(name, 3)}", num_env=1)


@pytest.mark.parametrize("name", KEYMAPS)
def test_every_key_makes_an_action_that_the_environment_takes_as_it_is(name):
    with make(name) as env:
        keymap = choose_keymap(env)
        env.reset(0)
        rows = [*keymap.actions.values(), *([] if keymap.noop is None else [keymap.noop])]
        assert len(rows) == len(KEYMAPS[name])
        for row, written in zip(rows, KEYMAPS[name].values(), strict=True):
            np.testing.assert_array_equal(row, np.asarray(written, row.dtype))
            assert row.dtype == (np.int64 if env.type == "discrete" else np.float32)
            env.step(row[None])


def hold(env, keymap, *names):
    """The state after holding these keys for 20 steps, or none."""
    env.reset(3)
    action = keymap.action([code(name) for name in names]) if names else keymap.noop
    for _ in range(20):
        state, _, dones, _ = env.step(action[None])
        if dones[0]:
            raise AssertionError("the episode was over before it could be seen where it goes")
    return state[0]


# where in a state is how far right it is, and how fast it goes there
@pytest.mark.parametrize(
    ("name", "places"),
    [("MountainCar", (0, 1)), ("MountainCarContinuous", (0, 1)), *((n, (0, 2)) for n in KEYMAPS if "Lander" in n)],
)
def test_left_is_left_of_nothing_and_right_is_right_of_it(name, places):
    with make(name) as env:
        keymap = choose_keymap(env)
        left, nothing, right = (hold(env, keymap, *keys) for keys in (("left",), (), ("right",)))
    for place in places:
        assert left[place] < nothing[place] < right[place]


def test_cart_goes_left_and_right():
    with make("CartPole") as env:
        keymap = choose_keymap(env)
        assert keymap.noop is None
        for name, sign in (("left", -1), ("right", 1)):
            env.reset(3)
            for _ in range(5):
                state, *_ = env.step(keymap.action([code(name)])[None])
            assert sign * state[0, 1] > 0.5  # velocity


def test_lander_rises_under_its_main_engine_and_goes_left_meanwhile():
    with make("LunarLanderContinuous") as env:
        keymap = choose_keymap(env)
        nothing, up, both = hold(env, keymap), hold(env, keymap, "up"), hold(env, keymap, "up", "left")
    assert up[3] > nothing[3] + 0.3
    assert both[3] > nothing[3] + 0.3
    assert both[2] < up[2] - 0.1


def test_car_turns_left_gains_speed_and_brakes():
    with make("CarRacing") as env:
        keymap = choose_keymap(env)

        def hull():
            return env.envs[0].unwrapped.car.hull

        hold(env, keymap, "up")
        fast = np.linalg.norm(hull().linearVelocity)
        for _ in range(20):
            env.step(keymap.action([code("down")])[None])
        assert np.linalg.norm(hull().linearVelocity) < 0.5 * fast
        hold(env, keymap, "up", "left")
        assert hull().angularVelocity > 0.5  # against the clock
        hold(env, keymap, "d", "w")
        assert hull().angularVelocity < -0.5


def test_letters_stand_for_arrows_but_not_in_keys_of_ones_own():
    with make("CarRacing") as env:
        keymap = choose_keymap(env)
        assert keymap.action([code("w"), code("a")]) is keymap.action([code("left"), code("up")]) is not None
    with make("CartPole") as env:
        keymap = choose_keymap(env, {"left": 0, "d": 1})
        assert keymap.action([code("a")]) is None
        assert keymap.codes == {code("left"), code("d")}


def test_of_keys_that_mean_nothing_together_the_latest_count():
    keymap = Keymap(
        {frozenset({1}): "left", frozenset({2}): "right", frozenset({1, 3}): "up left", frozenset({3}): "up"}
    )
    assert keymap.action([1, 2]) == "right"
    assert keymap.action([2, 1]) == "left"
    assert keymap.action([3, 2, 1]) == "up left"  # as few as possible are left out
    assert keymap.action([3, 1, 2]) == "up left"
    assert keymap.action([2, 3]) == "up"
    assert keymap.action([4]) is keymap.action([]) is None


def test_atari_has_its_own_keys_and_arrows():
    pytest.importorskip("ale_py")
    with build_env("ALE/Pong-v5", num_env=1) as env:
        meanings = env.envs[0].unwrapped.get_action_meanings()
        keymap = choose_keymap(env)
    assert meanings[keymap.noop] == "NOOP"
    assert meanings[keymap.action([code("left")])] == meanings[keymap.action([code("a")])] == "LEFT"
    assert meanings[keymap.action([code("space"), code("right")])] == "RIGHTFIRE"


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"lift": 0}, r"no key 'lift' \(in 'lift'\); did you mean 'left'"),
        ({"left+upp": 0}, r"no key 'upp' \(in 'left\+upp'\); did you mean 'up'"),
        ({"left+": 0}, "no key ''"),
        ({"left": 2}, r"'left' makes the action 2, which CartPole-v1 doesn't have \(Discrete\(2\)\)"),
        ({"left": 0.5}, "makes the action 0.5"),
        ({"left": [0]}, r"makes the action \[0\]"),
        ({"left": "0"}, "makes the action '0'"),
        ({"left": True}, "makes the action True"),
        ({"left": [[0], [1, 2]]}, "makes the action"),
        ({"escape": 0}, "'escape' is taken"),
        ({"Return": 0}, "'return' is taken"),
        ({"left+up": 0, "UP + Left": 1}, "'UP . Left' is there twice"),
        ({"": 0}, "no key makes an action"),
    ],
)
def test_wrong_keys_are_named(keys, message):
    with make("CartPole") as env, pytest.raises(DataError, match=message):
        choose_keymap(env, keys)


@pytest.mark.parametrize("action", [[1.5], [float("nan")], [0, 0], 0])
def test_continuous_actions_outside_of_the_space_are_refused(action):
    with make("MountainCarContinuous") as env, pytest.raises(DataError, match="makes the action"):
        choose_keymap(env, {"left": action})


@pytest.mark.parametrize(
    ("env_id", "example"), [("Acrobot-v1", r'keys=\{"left": 0, "right": 2\}'), ("Pendulum-v1", r'"left": \[-2.0\]')]
)
def test_where_no_keys_are_known_it_says_how_to_give_them(env_id, example):
    with (
        build_env(env_id, num_env=1) as env,
        pytest.raises(DataError, match=f"no keys are known for .*{example}.*--keys"),
    ):
        choose_keymap(env)


def test_own_keys_of_ilpyt_are_not_taken_for_other_actions():
    with (
        build_env("CarRacing-v3", num_env=1, continuous=False) as env,
        pytest.raises(DataError, match="no keys are known"),
    ):
        choose_keymap(env)


def test_keys_are_read_from_json(tmp_path):
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"left+up": [0.5], "": [0]}))
    with make("MountainCarContinuous") as env:
        keymap = choose_keymap(env, read_keys(path))
    np.testing.assert_array_equal(keymap.action([code("up"), code("left")]), np.float32([0.5]))
    np.testing.assert_array_equal(keymap.noop, np.float32([0]))
    path.write_text('{"left": 0,}')
    with pytest.raises(DataError, match="keys.json is not JSON: .*line 1"):
        read_keys(path)
    path.write_text("[0, 1]")
    with pytest.raises(DataError, match="must be a JSON object"):
        read_keys(path)
