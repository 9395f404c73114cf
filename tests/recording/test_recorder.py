"""`ilpyt.recording`: what is in the file is what was played. Keys come from a script, the window is SDL's 'dummy'."""

import signal
import sys

import gymnasium
import numpy as np
import pytest
import torch

from ilpyt.envs import build_env
from ilpyt.recording import record
from ilpyt.recording.window import GameWindow
from ilpyt.runners import Experiences
from ilpyt.utils.errors import DataError, EnvError, MissingExtraError, SaveError

pygame = pytest.importorskip("pygame")

FAST = 1e5  # frames a second: don't wait


@pytest.fixture(autouse=True)
def heard_interrupts():
    """Ctrl-C is heard, also by tests that were started in the background, where shells have it ignored."""
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, former)


@pytest.fixture(autouse=True)
def hidden_display(monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    yield
    pygame.quit()


@pytest.fixture
def script(monkeypatch):
    """Sets what is typed at each frame: `+left` (down), `-left` (up), `return` (down and up), or a function's call."""

    def set_frames(*frames):
        remaining = iter(frames)

        def get():
            events = []
            for typed in next(remaining):  # StopIteration: the script is over, the recording isn't
                if callable(typed):
                    typed()
                    continue
                key = pygame.key.key_code(typed.lstrip("+-"))
                kinds = {"+": [pygame.KEYDOWN], "-": [pygame.KEYUP]}.get(typed[0], [pygame.KEYDOWN, pygame.KEYUP])
                events += [pygame.event.Event(kind, key=key) for kind in kinds]
            return events

        monkeypatch.setattr(pygame.event, "get", get)
        return remaining

    return set_frames


NAMES = ("left", "right")


def frames_of(actions):
    """The frames in which CartPole's keys are held so that these actions come of them."""
    frames, held = [], None
    for action in actions:
        if action == held:
            frames.append([])
            continue
        frames.append(([] if held is None else [f"-{NAMES[held]}"]) + [f"+{NAMES[action]}"])
        held = action
    return frames, [f"-{NAMES[held]}"]


def reference(seed, policy, env_id="CartPole-v1"):
    """States, actions, rewards and dones of an episode, by gymnasium alone; `policy(t)` acts."""
    with gymnasium.make(env_id) as env:
        state, _ = env.reset(seed=seed)
        rows, done = [], False
        while not done:
            action = policy(len(rows))
            following, reward, terminated, truncated, _ = env.step(action)
            done = terminated or truncated
            rows.append((state, action, reward, done))
            state = following
    return [np.array(column) for column in zip(*rows, strict=True)]


def episode(seed, policy, *then):
    """Frames that play an episode of CartPole, and type something afterwards."""
    frames, release = frames_of(reference(seed, policy)[1])
    return [*frames, release, *([typed] for typed in then)]


def always_left(t):
    return 0


def two_by_two(t):
    return t // 2 % 2


def check_same(experiences, *references):
    fields = zip(*references, strict=True)
    for name, arrays in zip(("states", "actions", "rewards", "dones"), fields, strict=True):
        np.testing.assert_array_equal(getattr(experiences, name).numpy(), np.concatenate(arrays), name)


def test_file_has_exactly_the_episodes_that_were_kept(script, capsys):
    frames = script(
        *episode(5, always_left, "return"),
        *episode(6, two_by_two, "backspace"),
        *episode(7, two_by_two, "return"),
        ["escape"],
    )
    returned = record("CartPole-v1", seed=5, fps=FAST)
    assert not list(frames)
    kept = reference(5, always_left), reference(7, two_by_two)
    experiences = Experiences.load("CartPole-v1.npz")
    for each in (experiences, returned):
        check_same(each, *kept)
        assert not each.truncated.any()
    assert experiences.metadata == {
        "env_id": "CartPole-v1",
        "backend": "gymnasium",
        "backend_version": gymnasium.__version__,
        "recorded": "by keyboard",
        "seeds": [5, 7],
    }
    with build_env("CartPole-v1", num_env=1) as env:
        experiences.fit_to(env)
    first, discarded, second = len(kept[0][0]), len(reference(6, two_by_two)[0]), len(kept[1][0])
    low, high = sorted([first, second])
    assert capsys.readouterr().out.splitlines() == [
        f"episode 1 (seed 5): return {first}.0, {first} steps, kept; CartPole-v1.npz has 1 episode",
        f"episode 2 (seed 6): return {discarded}.0, {discarded} steps, discarded",
        f"episode 3 (seed 7): return {second}.0, {second} steps, kept; CartPole-v1.npz has 2 episodes",
        f"CartPole-v1.npz: 2 episodes, returns {low}.0 to {high}.0, mean {(low + high) / 2:.1f}",
    ]


def test_file_is_whole_after_every_kept_episode(script, tmp_path):
    path, counts = tmp_path / "mine.pkl", []
    count = lambda: counts.append(len(Experiences.load(path).bounds()) if path.exists() else 0)  # noqa: E731
    script([count], *(f for seed in range(3) for f in (*episode(seed, always_left, count, "return"), [count])))
    record("CartPole-v1", path, episodes=3, fps=FAST)
    assert counts == [0, 0, 1, 1, 2, 2]  # and the third ended the recording


def test_unfinished_episode_is_discarded(script, capsys):
    script(*episode(0, always_left, "return"), ["+left"], [], [], ["escape"])
    check_same(record("CartPole-v1", fps=FAST), reference(0, always_left))
    assert "episode 2 (seed 1): unfinished, return 3.0, 3 steps, discarded, as" in capsys.readouterr().out
    check_same(Experiences.load("CartPole-v1.npz"), reference(0, always_left))


@pytest.mark.parametrize("end", ["escape", lambda: signal.raise_signal(signal.SIGINT)])
def test_end_without_a_kept_episode_writes_no_file(script, capsys, tmp_path, end):
    script(*episode(0, always_left, end))
    assert len(record("CartPole-v1", fps=FAST)) == 0
    out = capsys.readouterr().out
    n = len(reference(0, always_left)[0])
    assert f"episode 1 (seed 0): return {n}.0, {n} steps, discarded, as the recording was ended" in out
    assert "no episode was kept" in out
    assert not list(tmp_path.iterdir())


def test_ctrl_c_leaves_what_was_kept(script):
    script(*episode(0, always_left, "return"), ["+left"], [lambda: signal.raise_signal(signal.SIGINT)])
    record("CartPole-v1", fps=FAST)
    check_same(Experiences.load("CartPole-v1.npz"), reference(0, always_left))
    with pytest.raises(KeyboardInterrupt):  # as before the recording
        signal.raise_signal(signal.SIGINT)


def test_closing_the_window_ends_the_recording(monkeypatch):
    monkeypatch.setattr(pygame.event, "get", lambda: [pygame.event.Event(pygame.QUIT)])
    assert len(record("CartPole-v1", fps=FAST)) == 0


def test_append_goes_on_with_the_next_seed(script, capsys):
    for seed in (0, 1):
        script(*episode(seed, two_by_two, "return"))
        experiences = record("CartPole-v1", episodes=1, append=True, fps=FAST)
    check_same(experiences, reference(0, two_by_two), reference(1, two_by_two))
    check_same(Experiences.load("CartPole-v1.npz"), reference(0, two_by_two), reference(1, two_by_two))
    assert experiences.metadata["seeds"] == [0, 1]
    assert "episode 1 (seed 1)" in capsys.readouterr().out


def test_append_to_an_experts_file_says_which_are_by_hand(script):
    states, actions, rewards, dones = reference(9, two_by_two)
    former = {"env_id": "CartPole-v1", "seeds": [0, 9]}  # the first and the last, as in ilpyt's own files
    Experiences(states, actions, rewards, dones, metadata=former).save("mixed.npz")
    for seed in (10, 11):
        script(*episode(seed, always_left, "return"))
        experiences = record("CartPole-v1", "mixed.npz", episodes=1, append=True, fps=FAST)
    check_same(experiences, reference(9, two_by_two), reference(10, always_left), reference(11, always_left))
    by_hand = {"recorded": "by keyboard, from episode 1 on", "recorded_seeds": [10, 11]}
    assert Experiences.load("mixed.npz").metadata == former | by_hand


def test_append_to_what_is_not_of_this_environment_is_an_error():
    state = np.zeros((2, 4), np.float32)
    others = Experiences(state, [0, 1], [1, 1], [False, True], metadata={"env_id": "CartPole-v0"})
    others.save("others.npz")
    with pytest.raises(DataError, match="others.npz has episodes of CartPole-v0"):
        record("CartPole-v1", "others.npz", append=True)
    Experiences(state[:, :2], [0, 1], [1, 1], [False, True]).save("smaller.npz")
    with pytest.raises(DataError, match=r"smaller.npz: a state has shape \[2\], in CartPole-v1 it has \[4\]"):
        record("CartPole-v1", "smaller.npz", append=True)
    Experiences(state, [0, 1], [1, 1], [False, False]).save("unfinished.npz")
    with pytest.raises(DataError, match="its last episode is unfinished"):
        record("CartPole-v1", "unfinished.npz", append=True)


def test_a_file_that_is_there_is_not_touched(tmp_path):
    (tmp_path / "CartPole-v1.npz").write_bytes(b"mine")
    with pytest.raises(SaveError, match="CartPole-v1.npz is there already: append=True"):
        record("CartPole-v1")
    assert (tmp_path / "CartPole-v1.npz").read_bytes() == b"mine"


def test_restart_begins_the_same_episode_again(script):
    script(["+right"], [], [], ["-right", "r"], [], *episode(0, always_left, "return"))
    check_same(record("CartPole-v1", episodes=1, fps=FAST), reference(0, always_left))


def test_cartpole_waits_for_keys_and_a_tap_is_one_step(script):
    taps = [NAMES[action] for action in reference(0, two_by_two)[1]]
    script([], [], *(frame for name in taps for frame in ([name], [])), ["return"])
    check_same(record("CartPole-v1", episodes=1, fps=FAST), reference(0, two_by_two))


@pytest.mark.parametrize("wait", [None, True])
def test_environment_with_a_noop_runs_from_the_first_key_on_unless_told_to_wait(script, wait):
    script([], [], ["+left"], ["-left"], [], ["d"], [], *([["d"]] * 9), ["return"])
    experiences = record("MountainCar-v0", episodes=1, fps=FAST, wait=wait, max_episode_steps=5)
    assert experiences.actions.tolist() == ([0, 1, 1, 2, 1] if wait is None else [0, 2, 2, 2, 2])
    assert experiences.truncated.tolist() == [False] * 4 + [True]


def test_images_are_recorded_as_learners_see_them(script):
    script(["+up", "+left"], [], [], ["return"])
    experiences = record("CarRacing-v3", episodes=1, fps=FAST, max_episode_steps=3)
    with build_env("CarRacing-v3", num_env=1) as env:
        state = env.reset(0)
        action = np.array([[-1, 0.8, 0]], np.float32)
        for t in range(3):
            np.testing.assert_array_equal(experiences.states[t].numpy(), state[0])
            state, *_ = env.step(action)
        experiences.fit_to(env)
    assert experiences.states.dtype == torch.uint8
    np.testing.assert_array_equal(experiences.actions.numpy(), action.repeat(3, axis=0))


def test_keys_of_ones_own_and_a_name_with_a_slash(script, monkeypatch):
    gymnasium.register("tests/Cart-v0", "gymnasium.envs.classic_control:CartPoleEnv")
    script(["+x"], *([[]] * 8), ["-x"], *([["y"]] * 3), ["return"])
    try:
        experiences = record("tests/Cart-v0", keys={"x": 1, "y": 0}, episodes=1, fps=FAST)
    finally:
        del gymnasium.registry["tests/Cart-v0"]
    assert experiences.actions[:8].tolist() == [1] * 8
    assert Experiences.load("tests-Cart-v0.npz").metadata["env_id"] == "tests/Cart-v0"


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"out": "a.csv"}, ValueError, "written as .npz or .pkl, not as 'a.csv'"),
        ({"out": "nowhere/a.npz"}, SaveError, "there is no folder .*nowhere"),
        ({"episodes": 0}, ValueError, "episodes must be more than 0, got 0"),
        ({"fps": -1}, ValueError, "fps must be more than 0"),
        ({"wait": False}, ValueError, "needs an action for when no key is held"),
        ({"keys": {"lift": 0}}, DataError, "no key 'lift'"),
        ({"env_id": "CartPol-v1"}, EnvError, "Did you mean CartPole-v1"),
    ],
)
def test_mistakes_are_found_before_anybody_plays(arguments, error, message):
    with pytest.raises(error, match=message):
        record(**{"env_id": "CartPole-v1", **arguments})


def test_without_pygame_it_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pygame", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'ilpyt\[record\]'"):
        record("CartPole-v1")


def test_question_shows_how_the_episode_ended(script, monkeypatch):
    shown = []
    show = GameWindow.show
    monkeypatch.setattr(GameWindow, "show", lambda self, *drawn: (shown.append(drawn), show(self, *drawn))[1])
    script(*episode(0, always_left, "return"))
    record("CartPole-v1", episodes=1, fps=FAST)
    with gymnasium.make("CartPole-v1", render_mode="rgb_array") as env:
        env.reset(seed=0)
        done = False
        while not done:
            done = env.step(0)[2]
        np.testing.assert_array_equal(shown[-1][0], env.render())
    n = len(reference(0, always_left)[0])
    assert shown[-1][1] == f"Episode 1   step {n}   return {n}.0   kept 0"
    assert shown[-1][2] == f"Over, return {n}.0: keep (Enter) or discard (Backspace)?"


def test_command_hands_on_what_is_on_its_line(monkeypatch, tmp_path):
    tyro = pytest.importorskip("tyro")
    from ilpyt.cli.record import record as command

    calls = []
    monkeypatch.setattr("ilpyt.recording.record", lambda *args, **kwargs: calls.append((args, kwargs)))
    (tmp_path / "keys.json").write_text('{"left": 0, "": 1}')
    line = "CartPole-v1 --out a.npz --keys keys.json --episodes 3 --seed 7 --append --fps 20 --wait True --zoom 2"
    tyro.cli(command, args=line.split())
    tyro.cli(command, args=["ALE/Pong-v5"])
    (env_id, out), options = calls[0]
    assert (env_id, str(out)) == ("CartPole-v1", "a.npz")
    expected = {"episodes": 3, "seed": 7, "append": True, "fps": 20, "wait": True, "zoom": 2}
    assert options == {"keys": {"left": 0, "": 1}, **expected}
    assert calls[1] == (("ALE/Pong-v5", None), dict.fromkeys(options, None) | {"append": False})
