"""`Batch` and `Experiences`: shapes, episodes, files, and what is refused."""

import os
import pickle
import pickletools
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import ilpyt
from ilpyt.runners import Batch, Experiences
from ilpyt.utils.errors import DataError, MissingExtraError
from tests.conftest import PAPER_ENV_IDS, ROOT


def batch(steps=3, n=2, **changes):
    lead = (steps, n)
    count = torch.arange(steps * n).reshape(lead)
    fields = {
        "states": count.float().unsqueeze(-1).repeat(1, 1, 4),
        "actions": count,
        "rewards": count.float(),
        "dones": torch.zeros(lead, dtype=torch.bool),
        "terminated": torch.zeros(lead, dtype=torch.bool),
        "next_states": torch.zeros(*lead, 4),
    }
    return Batch(**{**fields, **changes})


def demos(lengths=(3, 2), **changes):
    m = sum(lengths)
    dones = np.zeros(m, bool)
    dones[np.cumsum(lengths) - 1] = True
    fields = {
        "states": np.arange(4 * m, dtype=np.float32).reshape(m, 4) / 100,
        "actions": np.arange(m) % 2,
        "rewards": np.arange(m, dtype=np.float32),
        "dones": dones,
    }
    return Experiences(**{**fields, **changes})


@pytest.fixture(scope="module")
def cartpole():
    with ilpyt.envs.build_env("CartPole-v1", num_env=2) as env:
        yield env


@pytest.fixture(scope="module")
def lander():
    with ilpyt.envs.build_env("LunarLanderContinuous-v3", num_env=1) as env:
        yield env


# --- Batch


def test_batch_fields_by_name_and_attribute():
    b = batch()
    assert b["states"] is b.states
    with pytest.raises(KeyError):
        b["nothing"]
    with pytest.raises(AttributeError):
        b.states = None


def test_flatten_keeps_transitions_together():
    flat = batch().flatten()
    assert flat.states.shape == (6, 4)
    assert flat.rewards.tolist() == flat.actions.tolist() == flat.states[:, 0].tolist() == [0, 1, 2, 3, 4, 5]


def test_minibatches_cover_each_transition_once():
    parts = list(batch(5, 3).minibatches(4, torch.Generator().manual_seed(0)))
    assert [len(p) for p in parts] == [4, 4, 4, 3]
    seen = torch.cat([p.actions for p in parts])
    assert sorted(seen.tolist()) == list(range(15))
    assert seen.tolist() != list(range(15))
    torch.testing.assert_close(torch.cat([p.states[:, 2] for p in parts]), seen.float())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"actions": torch.zeros(3, 1)}, r"actions has shape \[3, 1\], but rewards have \[3, 2\]"),
        ({"states": torch.zeros(2, 2, 4)}, "states has shape"),
        ({"next_states": torch.zeros(3, 2, 5)}, "next_states have shape"),
        ({"dones": torch.zeros(3, 2)}, "dones must be bool"),
    ],
)
def test_batch_checks_its_shapes(changes, message):
    with pytest.raises(DataError, match=message):
        batch(**changes)


# --- Experiences


def test_episodes_are_where_dones_are():
    d = demos((3, 2))
    assert d.bounds() == [(0, 3), (3, 5)]
    assert [len(e) for e in d.episodes()] == [3, 2]
    assert d.get_episode_rewards() == [3.0, 7.0]
    assert repr(d) == "Experiences(2 episodes, 5 transitions)"


def test_a_trailing_unfinished_episode_counts():
    d = demos((3, 2), dones=[0, 0, 1, 0, 0])
    assert d.get_episode_rewards() == [3.0, 7.0]


def test_add_takes_one_transition_or_several():
    whole, grown = demos(), Experiences()
    for i in range(3):
        grown.add(whole.states[i], whole.actions[i], whole.rewards[i], whole.dones[i])
    assert len(grown) == 3
    grown.add(whole.states[3:], whole.actions[3:], whole.rewards[3:], whole.dones[3:])
    for name in ("states", "actions", "rewards", "dones", "truncated"):
        assert torch.equal(getattr(whole, name), getattr(grown, name))


def test_fields_have_the_types_of_the_contract():
    d = demos(states=np.zeros((5, 4)), actions=np.zeros(5, np.uint8), dones=[0, 0, 0, 0, 1])
    assert (d.states.dtype, d.actions.dtype, d.dones.dtype) == (torch.float32, torch.int64, torch.bool)
    image = demos(states=np.zeros((5, 8, 8, 3), np.uint8))
    assert image.states.dtype == torch.uint8


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"actions": [0, 1]}, "fields differ in length: states 5, actions 2"),
        ({"rewards": np.zeros((5, 1))}, r"rewards have shape \[5, 1\]"),
        ({"states": [[1, 2], [3]]}, "states can't be made a tensor"),
    ],
)
def test_experiences_check_themselves(changes, message):
    with pytest.raises(DataError, match=message):
        demos(**changes)


def test_add_refuses_another_shape():
    d = demos()
    with pytest.raises(DataError, match=r"states have shape \[5\], those already there \[4\]"):
        d.add(np.zeros(5), 0, 0.0, False)


def test_empty_experiences_are_empty():
    empty = Experiences()
    assert (len(empty), empty.episodes(), repr(empty)) == (0, [], "Experiences(0 episodes, 0 transitions)")


def test_add_copies_so_that_a_buffer_can_be_used_again():
    buffer, grown = np.zeros((3, 4)), Experiences()
    for value in (1.0, 2.0):
        buffer[:] = value
        grown.add(buffer, [0] * 3, [0] * 3, [0, 0, 1])
    assert grown.states[:, 0].tolist() == [1, 1, 1, 2, 2, 2]


def test_metadata_that_no_file_can_hold_is_refused():
    with pytest.raises(DataError, match="dict of plain values"):
        demos(metadata={"seed": np.int64(3)}).save("demos.npz")


# --- files


@pytest.mark.parametrize("suffix", ["pkl", "npz"])
def test_what_is_saved_is_loaded(suffix, tmp_path):
    d = demos(truncated=[0, 0, 1, 0, 0], metadata={"env_id": "CartPole-v1", "seeds": [1, 2]})
    d.save(tmp_path / f"demos.{suffix}")
    loaded = Experiences.load(tmp_path / f"demos.{suffix}")
    for name in ("states", "actions", "rewards", "dones", "truncated"):
        assert torch.equal(getattr(d, name), getattr(loaded, name))
    assert loaded.metadata == d.metadata
    assert os.listdir(tmp_path) == [f"demos.{suffix}"]


def test_a_plain_pickle_is_experiences_too(tmp_path):
    d = demos()
    d.save(tmp_path / "demos.pkl")
    with open(tmp_path / "demos.pkl", "rb") as file:
        loaded = pickle.load(file)
    assert torch.equal(loaded.states, d.states)


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("actions", [torch.tensor([0, 1, 1], dtype=torch.uint8), torch.tensor([0.0, 1.0, 1.0])])
def test_files_of_the_2021_release_are_read(protocol, actions, tmp_path, cartpole):
    """Pickles of `ilpyt.runners.runner.Experiences` whose `__dict__` holds four tensors."""
    fields = {
        "states": torch.rand(3, 4, dtype=torch.float64),
        "actions": actions,
        "rewards": torch.ones(3),
        "dones": torch.tensor([0.0, 0.0, 1.0]),
    }

    class Old:
        def __init__(self):
            self.__dict__.update(fields)

    Old.__module__, Old.__qualname__ = "ilpyt.runners.runner", "Experiences"
    original = ilpyt.runners.runner.Experiences
    try:
        ilpyt.runners.runner.Experiences = Old
        (tmp_path / "demos.pkl").write_bytes(pickle.dumps(Old(), protocol=protocol))
    finally:
        ilpyt.runners.runner.Experiences = original
    loaded = Experiences.load(tmp_path / "demos.pkl").fit_to(cartpole)
    assert loaded.actions.tolist() == [0, 1, 1]
    assert loaded.actions.dtype == torch.int64
    torch.testing.assert_close(loaded.states, fields["states"].float())
    assert loaded.dones.tolist() == [False, False, True]


@pytest.mark.parametrize("protocol", range(6))
def test_pickles_of_arrays_are_read(protocol, tmp_path):
    record = {name: value.numpy() for name, value in vars(demos().to_torch()).items() if torch.is_tensor(value)}
    (tmp_path / "demos.pkl").write_bytes(pickle.dumps(record, protocol=protocol))
    assert torch.equal(Experiences.load(tmp_path / "demos.pkl").states, demos().states)


class Runs:
    """A pickle of it runs a command when it is loaded."""

    def __reduce__(self):
        return os.system, ("touch evil",)


@pytest.mark.parametrize("where", ["whole", "field"])
def test_a_pickle_that_runs_code_is_refused_and_nothing_runs(where, tmp_path):
    content = Runs() if where == "whole" else {"states": Runs(), "actions": 1, "rewards": 1, "dones": 1}
    (tmp_path / "demos.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(DataError, match=r"demos.pkl is refused: it asks for \w+.system.*nothing of it was run"):
        Experiences.load(tmp_path / "demos.pkl")
    assert not (tmp_path / "evil").exists()


@pytest.mark.parametrize(
    "name", ["builtins eval", "torch load", "numpy load", "ilpyt.runners.runner Runner", "os system"]
)
def test_no_other_name_is_looked_up(name, tmp_path):
    module, name = name.split()
    (tmp_path / "demos.pkl").write_bytes(b"c" + f"{module}\n{name}\n".encode() + b".")
    with pytest.raises(DataError, match="is refused"):
        Experiences.load(tmp_path / "demos.pkl")


def test_code_hidden_in_a_tensors_storage_is_refused(tmp_path):
    content = pickle.dumps(torch.zeros(2), protocol=2)
    inner = next(arg for op, arg, _ in pickletools.genops(content) if op.name == "BINUNICODE" and len(arg) > 100)
    torch.save(Runs(), tmp_path / "inner", _use_new_zipfile_serialization=False)
    evil = (tmp_path / "inner").read_bytes()
    assert inner
    stream = (
        b"\x80\x04}(\x8c\x06states\x8c\x0dtorch.storage\x8c\x10_load_from_bytes\x93B"
        + len(evil).to_bytes(4, "little")
        + evil
        + b"\x85Ru."
    )
    (tmp_path / "demos.pkl").write_bytes(stream)
    with pytest.raises(DataError, match="demos.pkl"):
        Experiences.load(tmp_path / "demos.pkl")
    assert not (tmp_path / "evil").exists()


def hostile(value):
    """A pickle of a record whose states are built by pickle opcodes."""
    field = b"\x8c\x07actions]\x8c\x07rewards]\x8c\x05dones]"
    return b"\x80\x04}(\x8c\x06states" + value + field + b"u."


def named(module, name):
    return b"".join(b"\x8c" + bytes([len(x)]) + x.encode() for x in (module, name)) + b"\x93"


@pytest.mark.parametrize(
    "value",
    [
        # an object that claims that its data lie at an address
        named("ilpyt.runners.runner", "Experiences") + b")\x81}\x8c\x13__array_interface__}\x8c\x05shapeK\x04\x85ssb",
        # a dtype whose state makes bytes into pointers to objects
        named("numpy", "dtype") + b"\x8c\x02V8\x89\x88\x87R",
        named("numpy", "dtype") + b"\x8c\x02O8\x89\x88\x87R",
        # the state of a function
        named("torch._utils", "_rebuild_tensor_v2") + b"N}\x8c\x0c__defaults__)s\x86b",
        named("torch.storage", "_load_from_bytes") + b"}\x8c\x01aK\x01sb",
        # an array of lists
        named("numpy._core.multiarray", "_reconstruct") + named("numpy", "ndarray") + b"K\x00\x85C\x01b\x87R",
        # more than its data
        b"\x8c\x01x]",
    ],
)
def test_a_pickle_reaches_nothing_by_states_attributes_or_types(value, tmp_path):
    before = torch._utils._rebuild_tensor_v2.__defaults__
    (tmp_path / "demos.pkl").write_bytes(hostile(value))
    with pytest.raises(DataError, match="demos.pkl"):
        Experiences.load(tmp_path / "demos.pkl")
    assert torch._utils._rebuild_tensor_v2.__defaults__ == before


def test_an_npz_with_objects_is_refused(tmp_path):
    np.savez(tmp_path / "demos.npz", states=np.array([Runs()], dtype=object), actions=[0], rewards=[0], dones=[1])
    with pytest.raises(DataError, match="demos.npz"):
        Experiences.load(tmp_path / "demos.npz")
    assert not (tmp_path / "evil").exists()


def test_missing_empty_truncated_and_foreign_files(tmp_path):
    with pytest.raises(FileNotFoundError, match="no demonstrations at /.*nowhere.pkl"):
        Experiences.load("nowhere.pkl")
    (tmp_path / "empty.pkl").touch()
    with pytest.raises(DataError, match="empty.pkl is empty"):
        Experiences.load(tmp_path / "empty.pkl")
    for suffix in ("pkl", "npz"):
        path = tmp_path / f"demos.{suffix}"
        demos().save(path)
        path.write_bytes(path.read_bytes()[:-40])
        with pytest.raises(DataError, match=f"demos.{suffix} is not a demonstration file, or a broken one"):
            Experiences.load(path)
    (tmp_path / "text.pkl").write_text("states,actions\n")
    with pytest.raises(DataError, match=r"text.pkl is (not|refused)"):
        Experiences.load(tmp_path / "text.pkl")
    np.savez(tmp_path / "fields.npz", states=np.zeros((2, 4)))
    with pytest.raises(DataError, match="has no actions, rewards, dones"):
        Experiences.load(tmp_path / "fields.npz")
    with pytest.raises(ValueError, match=r"\.pkl or \.npz"):
        demos().save(tmp_path / "demos.txt")


def test_minari_missing_is_said_with_the_extra_that_brings_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "minari", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'ilpyt\[minari\]'"):
        Experiences.load(Path("minari:CartPole/expert-v0"))


# --- fit_to


def test_whole_numbers_in_any_dtype_become_discrete_actions(cartpole):
    for actions in (np.array([0, 1, 0, 1, 0], np.uint8), np.array([[0.0], [1], [0], [1], [0]], np.float32)):
        fitted = demos(actions=actions).fit_to(cartpole)
        assert fitted.actions.dtype == torch.int64
        assert fitted.actions.tolist() == [0, 1, 0, 1, 0]


def test_images_in_another_dtype_become_uint8_if_they_can():
    images = np.arange(5 * 96 * 96 * 3).reshape(5, 96, 96, 3) % 256
    with ilpyt.envs.build_env("CarRacing-v3", num_env=1) as env:
        actions = np.zeros((5, 3))
        for states in (images, images.astype(np.float32), images.astype(np.uint8)):
            fitted = demos(states=states, actions=actions).fit_to(env)
            assert fitted.states.dtype == torch.uint8
            np.testing.assert_array_equal(fitted.states, images)
        with pytest.raises(DataError, match=r"images of whole numbers in 0\.\.255"):
            demos(states=images / 255, actions=actions).fit_to(env)


def test_demos_that_dont_fit_are_refused_by_field_episode_and_step(cartpole, lander):
    nan = demos().states.clone()
    nan[4, 1] = torch.nan
    fractional = np.array([0, 0, 0, 0.5, 0])
    for experiences, env, message in [
        (
            demos(states=np.zeros((5, 8))),
            cartpole,
            r"a state has shape \[8\], in CartPole-v1 it has \[4\].*another env",
        ),
        (demos(states=np.zeros((5, 8))), lander, r"an action has shape \[\], in LunarLanderContinuous-v3 it has \[2\]"),
        (demos(states=nan), cartpole, "f.pkl: states of episode 1, step 1 hold nan"),
        (
            demos(actions=[0, 1, 0, 1, 2]),
            cartpole,
            "the action of episode 1, step 1 is 2, out of range for CartPole-v1",
        ),
        (demos(actions=fractional), cartpole, "the action of episode 1, step 0 is 0.5; CartPole-v1 has whole numbers"),
        (
            demos(states=np.zeros((5, 8)), actions=np.full((5, 2), 1.5)),
            lander,
            r"the action of episode 0, step 0 is \[1.5, 1.5\], out of range",
        ),
        (Experiences(np.zeros((0, 4)), np.zeros(0), np.zeros(0), np.zeros(0)), cartpole, "no transitions"),
    ]:
        with pytest.raises(DataError, match=message):
            experiences.fit_to(env, "f.pkl")


@pytest.mark.parametrize("env_id", PAPER_ENV_IDS)
def test_the_bundled_demonstrations_are_100_successes(env_id):
    from ilpyt.presets import PAPER_ENVS

    path = ROOT / "demos" / env_id / "demos.pkl"
    d = Experiences.load(path)
    with ilpyt.envs.build_env(env_id, num_env=1) as env:
        d.fit_to(env)
    returns = d.get_episode_rewards()
    assert len(returns) == 100
    assert min(returns) >= PAPER_ENVS[env_id].threshold
    assert path.stat().st_size < 1_000_000
    assert d.dones[-1]
    mean, std = PAPER_ENVS[env_id].paper["Expert"]
    assert abs(np.mean(returns) - mean) < max(0.05, 0.5 * std)
    card = (path.parent / "README.md").read_text()
    assert f"{np.mean(returns):.2f} +/- {np.std(returns):.2f}" in card


def test_to_batch_keeps_what_has_a_known_successor():
    """Three episodes: ended by itself, cut off, and unfinished."""
    states = np.arange(8.0)[:, None]
    dones = [False, False, True, False, False, True, False, False]
    truncated = [False] * 5 + [True, False, False]
    batch = Experiences(states, np.arange(8), np.ones(8), dones, truncated).to_batch()
    assert batch.states.shape == (6, 1, 1)
    assert batch.states.flatten().tolist() == [0, 1, 2, 3, 4, 6]
    assert batch.next_states.flatten().tolist() == [1, 2, 2, 4, 5, 7]
    assert batch.terminated.flatten().tolist() == [False, False, True, False, False, False]
    assert batch.dones.flatten().tolist() == [False, False, True, False, True, True]
    assert batch.actions.flatten().tolist() == [0, 1, 2, 3, 4, 6]
