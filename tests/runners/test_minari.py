"""Minari's datasets: what is written is read back, and what Minari collects is what `build_env` would have given."""

import contextlib
import copy
import importlib
import json
import shutil
import sys
import warnings
from collections import OrderedDict

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces

from ilpyt.envs import build_env
from ilpyt.runners import Experiences, Runner
from ilpyt.runners.describe import describe
from ilpyt.utils.errors import DataError, SaveError

minari = pytest.importorskip("minari")
pytest.importorskip("h5py")

FIELDS = ("states", "actions", "rewards", "dones", "truncated")
SPACES = {
    "vector": spaces.Box(-1, 1, (3,)),
    # Minari reads the keys back in alphabetical order
    "dict": spaces.Dict(OrderedDict(b=spaces.Box(-1, 1, (2,)), a=spaces.Discrete(3, start=1))),
    "tuple": spaces.Tuple([spaces.MultiBinary(2), spaces.Dict(z=spaces.Box(-1, 1, (2, 2)), y=spaces.Discrete(2))]),
    "discrete": spaces.Discrete(4, start=2),
    "image": spaces.Box(0, 255, (36, 40, 3), np.uint8),
    "channels_first": spaces.Box(0, 255, (3, 36, 40), np.uint8),
    "grey": spaces.Box(0, 255, (36, 40), np.uint8),
}
ACTIONS = {"from_0": spaces.Discrete(3), "from_1": spaces.Discrete(3, start=1), "continuous": spaces.Box(-2, 2, (2,))}


class Spaced(gymnasium.Env):
    """Random observations; action 1 ends an episode, its third step does so by a time limit."""

    def __init__(self, observations, actions):
        self.observation_space, self.action_space = SPACES[observations], ACTIONS[actions]
        self.drawn_from = copy.deepcopy(self.observation_space)  # nobody else draws from it

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        if seed is not None:
            self.drawn_from.seed(seed)
        return self.drawn_from.sample(), {}

    def step(self, action):
        assert self.action_space.contains(action)
        ends = bool(np.all(action == self.action_space.start if self.action_space.shape == () else action > 1))
        return self.drawn_from.sample(), float(np.sum(action)), ends, False, {}


@pytest.fixture(autouse=True)
def _own_datasets(tmp_path, monkeypatch):
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "datasets"))


@pytest.fixture(scope="module", autouse=True)
def _registered():
    for observations in SPACES:
        for actions in ACTIONS:
            gymnasium.register(
                f"{observations}_{actions}-v0",
                f"{__name__}:Spaced",
                max_episode_steps=3,
                kwargs={"observations": observations, "actions": actions},
            )
    yield
    for observations in SPACES:
        for actions in ACTIONS:
            del gymnasium.registry[f"{observations}_{actions}-v0"]


class Drawn:
    """Acts at random."""

    def __init__(self, space, seed=0):
        self.space, self.random = space, np.random.default_rng(seed)

    def reset(self):
        pass

    def step(self, states):
        if isinstance(self.space, spaces.Discrete):
            return self.random.integers(self.space.n, size=len(states))
        return self.random.uniform(-2, 2, size=(len(states), *self.space.shape)).astype(np.float32)


def play(env, episodes=4, seed=0):
    """Demonstrations of a random agent in one environment."""
    return Runner(env, Drawn(env.action_space)).generate_episodes(episodes, seed)


def same(a, b):
    for name in FIELDS:
        assert getattr(a, name).dtype == getattr(b, name).dtype
        assert torch.equal(getattr(a, name), getattr(b, name)), name


def values(space, data, t):
    """Step `t` of what Minari read."""
    if isinstance(space, spaces.Dict):
        return {key: values(space[key], data[key], t) for key in space}
    if isinstance(space, spaces.Tuple):
        return tuple(values(part, item, t) for part, item in zip(space, data, strict=True))
    return data[t]


@pytest.mark.parametrize(
    ("observations", "actions"),
    [*((name, "from_0") for name in SPACES), ("vector", "from_1"), ("vector", "continuous"), ("dict", "from_1")],
)
def test_what_is_written_is_read_back_and_is_in_the_environments_spaces(observations, actions):
    with build_env(f"{observations}_{actions}-v0", num_env=1) as env:
        demos = play(env)
        dataset = demos.to_minari("spaced/random-v0", env)
    same(Experiences.load("minari:spaced/random-v0"), demos)
    assert (len(dataset), dataset.total_steps) == (4, len(demos))
    for episode, (start, end) in zip(dataset, demos.bounds(), strict=True):
        for t in range(end - start):
            assert dataset.observation_space.contains(values(dataset.observation_space, episode.observations, t))
            assert dataset.action_space.contains(values(dataset.action_space, episode.actions, t))
        last, repeated = (values(dataset.observation_space, episode.observations, end - start - k) for k in (1, 0))
        assert str(last) == str(repeated)
    recovered = dataset.recover_environment()
    assert recovered.observation_space == SPACES[observations]
    assert recovered.action_space == ACTIONS[actions]
    assert recovered.observation_space.contains(recovered.reset(seed=0)[0])


def finished(collector, dataset_id, **about):
    """The dataset of what was collected."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is set to None")  # who made it, and the like
        warnings.filterwarnings("ignore", message="Implicitly cleaning up")  # Minari leaves that to Python
        dataset = collector.create_dataset(dataset_id, **about)
    collector._tmp_dir.cleanup()
    return dataset


@pytest.mark.parametrize("actions", ["from_1", "continuous"])
@pytest.mark.parametrize("observations", ["vector", "dict", "tuple", "channels_first"])
def test_what_minari_collects_is_what_ilpyt_would_have(observations, actions):
    pytest.importorskip("jax")
    env_id = f"{observations}_{actions}-v0"
    with build_env(env_id, num_env=1) as env:
        ours, plain = play(env, seed=[[0, 1, 2, 3]]), env.action_space
    agent, collector = Drawn(plain), minari.DataCollector(gymnasium.make(env_id))
    start = 1 if actions == "from_1" else 0
    for k in range(4):
        collector.reset(seed=k)
        ended = False
        while not ended:
            _, _, terminated, truncated, _ = collector.step(agent.step([0])[0] + start)
            ended = terminated or truncated
    dataset = finished(collector, "collected-v0")
    same(Experiences.from_minari(dataset), ours)
    assert set(ours.truncated[ours.dones].tolist()) == {True, False}


@pytest.fixture
def collected():
    """The scripted expert's 10 episodes on CartPole-v1, as Minari collects them."""
    pytest.importorskip("jax")
    collector = minari.DataCollector(gymnasium.make("CartPole-v1"))
    for seed in range(10):
        observation, _ = collector.reset(seed=seed)
        ended = False
        while not ended:
            action = int(expert().step(torch.from_numpy(observation)[None])[0])
            observation, _, terminated, truncated, _ = collector.step(action)
            ended = terminated or truncated
    return finished(collector, "CartPole/expert-v0", algorithm_name="heuristic", author="A. Person")


def expert():
    return importlib.import_module("ilpyt.agents.heuristic_agent").CartPoleHeuristicAgent()


def test_the_experts_episodes_as_minari_collects_them(collected):
    with build_env("CartPole-v1", num_env=1) as env:
        ours = Runner(env, expert()).generate_episodes(10, seed=[list(range(10))])
    demos = Experiences.from_minari(collected)
    same(demos, ours)
    assert demos.get_episode_rewards() == [500] * 10
    assert demos.metadata == {
        "env_id": "CartPole-v1",
        "backend": "gymnasium",
        "minari_dataset": "CartPole/expert-v0",
        "minari_version": minari.__version__,
        "author": "A. Person",
        "algorithm_name": "heuristic",
    }
    same(Experiences.from_minari("CartPole/expert-v0", num_episodes=2), ours[:1000])
    filtered = minari.MinariDataset(collected.storage, episode_indices=np.array([3, 5]))
    same(Experiences.from_minari(filtered), ours[torch.cat([torch.arange(1500, 2000), torch.arange(2500, 3000)])])
    with pytest.raises(DataError, match="holds 10 episodes, 11 were asked for"):
        Experiences.from_minari(collected, num_episodes=11)


@pytest.mark.long
def test_bc_clones_the_expert_of_a_minari_dataset(collected, tmp_path):
    from ilpyt.algos import BC

    with build_env("CartPole-v1", num_env=4) as env:
        score = np.mean(Experiences.from_minari(collected).get_episode_rewards())
        algo = BC(env=env, save_path=str(tmp_path / "bc"), progress=False)
        algo.train(num_epochs=100, expert_demos="minari:CartPole/expert-v0")
        assert np.mean(algo.test(20)) == score == 500


# --- what is written beside the arrays


@pytest.fixture
def cartpole():
    with build_env("CartPole-v0", num_env=1) as env:
        yield env


def raw(dataset_id):
    return minari.load_dataset(dataset_id).storage.metadata


def test_about_goes_into_the_dataset_and_comes_back(cartpole):
    about = {"author": "A. Person", "author_email": "a@person.org", "algorithm_name": "none", "description": "Random."}
    play(cartpole).to_minari("a-v0", cartpole, code_permalink="https://person.org", **about)
    assert raw("a-v0")["author"] == {"A. Person"}
    assert raw("a-v0")["description"].startswith("Random. Demonstrations of ilpyt hold no observation after")
    assert 'order_enforce": true' in raw("a-v0")["env_spec"]
    again = Experiences.from_minari("a-v0")
    again.to_minari("b-v0", cartpole)
    assert {**raw("b-v0"), "dataset_id": "a-v0"} == raw("a-v0")
    with pytest.raises(TypeError, match="not autor"):
        again.to_minari("c-v0", cartpole, autor="A. Person")


def test_an_unfinished_episode_is_written_as_cut_off(cartpole):
    demos = play(cartpole)[:-1]
    dataset = demos.to_minari("a-v0", cartpole)
    assert [bool(episode.truncations[-1]) for episode in dataset] == [False, False, False, True]
    assert [bool(episode.terminations[-1]) for episode in dataset] == [True, True, True, False]


def test_lunar_lander_is_recovered_as_gymnasium_calls_it():
    pytest.importorskip("Box2D")
    with build_env("LunarLander-v2", num_env=1) as env:
        dataset = play(env, 1).to_minari("lander-v0", env)
    assert dataset.recover_environment().spec.id == "LunarLander-v3"


def test_an_environment_that_a_function_makes_is_left_out_and_that_is_said(caplog):
    with build_env(lambda: Spaced("dict", "from_1"), num_env=1) as env:
        demos = Experiences.from_arrays([np.ones((2, 5))], [[0, 2]])
        dataset = demos.to_minari("own-v0", env)
    assert dataset.env_spec is None
    assert "own-v0 is written without an environment to recover: Spaced is made by a function" in caplog.text
    assert "Without an environment to recover: Spaced is made by a function" in raw("own-v0")["description"]
    assert Experiences.load("minari:own-v0").actions.tolist() == [0, 2]
    assert "env_id" not in Experiences.load("minari:own-v0").metadata


# --- what is refused


def test_ids_that_are_not_there_taken_or_malformed(cartpole, tmp_path):
    demos = play(cartpole)
    with pytest.raises(DataError, match=rf"no Minari dataset 'x-v0' in {tmp_path}/datasets. It holds none."):
        Experiences.load("minari:x-v0")
    demos.to_minari("CartPole/random-v0", cartpole)
    with pytest.raises(DataError, match=r"Did you mean CartPole/random-v0\?"):
        Experiences.load("minari:CartPole/randon-v0")
    with pytest.raises(DataError, match="there is a Minari dataset 'CartPole/random-v0'"):
        demos.to_minari("CartPole/random-v0", cartpole)
    for malformed in ("random", "../random-v0", ""):
        with pytest.raises(DataError, match="no id of a Minari dataset"):
            demos.to_minari(malformed, cartpole)
    with pytest.raises(TypeError, match="or the id of one, got int"):
        Experiences.from_minari(3)


def test_a_broken_dataset_is_refused(cartpole, tmp_path):
    play(cartpole).to_minari("a-v0", cartpole)
    data = tmp_path / "datasets" / "a-v0" / "data"
    content = (data / "main_data.hdf5").read_bytes()
    (data / "main_data.hdf5").write_bytes(content[:100])
    with pytest.raises(DataError, match="the Minari dataset 'a-v0' can't be read"):
        Experiences.load("minari:a-v0")
    (data / "metadata.json").write_text("{}")
    with pytest.raises(DataError, match="the Minari dataset 'a-v0' in .* can't be read"):
        Experiences.load("minari:a-v0")


STRANGERS = """
import pathlib

pathlib.Path({mark!r}).touch()


class Foo:
    pass
"""


@pytest.fixture
def strangers(cartpole, tmp_path, monkeypatch):
    """A dataset whose environment is a module that leaves a mark when imported: its metadata.json, and the mark."""
    mark = tmp_path / "it_was_imported"
    (tmp_path / "strangers_minari_module.py").write_text(STRANGERS.format(mark=str(mark)))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "strangers_minari_module", raising=False)
    play(cartpole).to_minari("evil/a-v0", cartpole)
    path = tmp_path / "datasets" / "evil" / "a-v0" / "data" / "metadata.json"
    metadata = json.loads(path.read_text())
    spec = {**json.loads(metadata["env_spec"]), "id": "Foo-v0", "entry_point": "strangers_minari_module:Foo"}
    metadata["env_spec"] = json.dumps(spec)
    path.write_text(json.dumps(metadata))
    return path, mark


def test_a_module_that_a_datasets_environment_names_is_never_imported(strangers):
    _, mark = strangers
    demos = Experiences.load("minari:evil/a-v0")
    assert demos.metadata["env_id"] == "Foo-v0"
    describe(demos, "it")
    assert not mark.exists()


@pytest.mark.parametrize("missing", ["observation_space", "action_space"])
def test_a_dataset_that_leaves_a_space_to_its_environment_is_refused(strangers, missing):
    path, mark = strangers
    metadata = json.loads(path.read_text())
    del metadata[missing]
    path.write_text(json.dumps(metadata))
    with pytest.raises(DataError, match=f"its metadata.json doesn't state the {missing}"):
        Experiences.load("minari:evil/a-v0")
    assert not mark.exists()
    with contextlib.suppress(Exception):  # that Minari would have
        minari.load_dataset("evil/a-v0")
    assert mark.exists()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"observation_space": None}, "doesn't state the observation_space"),
        ({"action_space": {"type": "Discrete", "n": 2, "start": 0}}, "doesn't state the action_space"),
        ({"action_space": "[" * 10**5}, "can't be read"),
        ({"action_space": "[]"}, "can't be read"),
        ({"total_episodes": 10**12}, "its total_episodes is 1000000000000"),
        ({"total_episodes": 1.5}, "its total_episodes is 1.5"),
        ({"total_steps": "\x1b"}, r"its total_steps is '\\x1b'"),
        ({"observation_space": '{"type": "Discrete", "n": 1000000000000, "start": 0}'}, "1,000,000,000,000 numbers"),
        ({"author": [["a"]]}, "can't be read"),
        ({"deep": eval("[" * 60 + "]" * 60)}, "longer, deeper or larger"),
        ({"data_format": ["arrow"]}, "can't be read"),
        (None, "its metadata.json isn't a description but a list"),
    ],
)
def test_metadata_that_no_honest_dataset_has_are_refused(cartpole, tmp_path, changed, message):
    play(cartpole).to_minari("a-v0", cartpole)
    path = tmp_path / "datasets" / "a-v0" / "data" / "metadata.json"
    path.write_text("[1]" if changed is None else json.dumps({**json.loads(path.read_text()), **changed}))
    with pytest.raises(DataError, match=message):
        Experiences.load("minari:a-v0")


@pytest.mark.parametrize(("installed", "is_refused"), [("14.0.0", True), ("14.0.1", False), ("9.1.0", True)])
def test_a_pyarrow_that_runs_what_a_file_brings_reads_none(cartpole, tmp_path, monkeypatch, installed, is_refused):
    play(cartpole).to_minari("a-v0", cartpole)
    path = tmp_path / "datasets" / "a-v0" / "data" / "metadata.json"
    monkeypatch.setattr("ilpyt.runners.minari_metadata.version", lambda package: installed)
    Experiences.load("minari:a-v0")
    path.write_text(json.dumps({**json.loads(path.read_text()), "data_format": "parquet"}))
    with pytest.raises(DataError, match="PyArrow before 14.0.1" if is_refused else "can't be read: (?!PyArrow)"):
        Experiences.load("minari:a-v0")


def test_metadata_are_read_only_up_to_a_size(cartpole, tmp_path):
    play(cartpole).to_minari("a-v0", cartpole)
    path = tmp_path / "datasets" / "a-v0" / "data" / "metadata.json"
    path.write_text(path.read_text() + " " * 2**24)
    with pytest.raises(DataError, match="its metadata.json is larger than 16,777,216 bytes"):
        Experiences.load("minari:a-v0")


def test_authors_that_arent_text_are_shown_as_text(cartpole, tmp_path):
    play(cartpole).to_minari("a-v0", cartpole)
    path = tmp_path / "datasets" / "a-v0" / "data" / "metadata.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "author": ["b", 1]}))
    assert Experiences.load("minari:a-v0").metadata["author"] == "1, b"


def test_demonstrations_of_another_environment_arent_written(cartpole, tmp_path):
    with pytest.raises(DataError, match=r"a state has shape \[5\], in CartPole-v0 it has \[4\]"):
        Experiences.from_arrays([np.ones((2, 5))], [[0, 1]]).to_minari("a-v0", cartpole)
    assert not (tmp_path / "datasets" / "a-v0").exists()


def test_a_dataset_that_somebody_else_writes_meanwhile_is_left_alone(cartpole, tmp_path, monkeypatch):
    play(cartpole, episodes=2).to_minari("group/other-v0", cartpole)
    theirs, create = tmp_path / "datasets" / "group" / "a-v0", minari.create_dataset_from_buffers

    def create_later(*arguments, **rest):
        shutil.copytree(theirs.with_name("other-v0"), theirs)
        return create(*arguments, **rest)

    monkeypatch.setattr(minari, "create_dataset_from_buffers", create_later)
    with pytest.raises(DataError, match="there is a Minari dataset 'group/a-v0' in .* already"):
        play(cartpole).to_minari("group/a-v0", cartpole)
    assert minari.MinariDataset(theirs / "data").total_episodes == 2
    assert {path.name for path in theirs.parent.iterdir() if path.is_dir()} == {"other-v0", "a-v0"}


def test_a_dataset_is_there_whole_or_not_at_all(cartpole, tmp_path, monkeypatch):
    folder, seen = tmp_path / "datasets" / "a-v0", []
    create = minari.create_dataset_from_buffers

    def look_after(*arguments, **rest):
        dataset = create(*arguments, **rest)
        seen.append(folder.exists())
        return dataset

    monkeypatch.setattr(minari, "create_dataset_from_buffers", look_after)
    dataset = play(cartpole).to_minari("a-v0", cartpole)
    assert seen == [False]
    assert (dataset.id, dataset.storage.data_path) == ("a-v0", folder / "data")
    assert [path.name for path in folder.parent.iterdir()] == ["a-v0"]


def test_text_can_be_read_but_not_written(tmp_path):
    class Says(gymnasium.Env):
        observation_space, action_space = spaces.Text(3, charset="ab"), spaces.Discrete(2)

    with build_env(Says, num_env=1) as env:
        with pytest.raises(DataError, match="can't be turned back into Text"):
            Experiences.from_arrays([np.zeros((2, 3))], [[0, 1]]).to_minari("says-v0", env)
    episode = minari.data_collector.EpisodeBuffer(
        observations=["ab", "b", ""], actions=[0, 1], rewards=[0, 0], terminations=[0, 1], truncations=[0, 0], infos={}
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*is set to None|env_spec is None")
        minari.create_dataset_from_buffers(
            "says-v0", [episode], observation_space=Says.observation_space, action_space=Says.action_space
        )
    laid_out = [spaces.flatten(Says.observation_space, text) for text in ("ab", "b")]
    np.testing.assert_array_equal(Experiences.load("minari:says-v0").states, laid_out)


def test_a_failure_leaves_no_dataset_behind(cartpole, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise OSError("no space left on device")

    monkeypatch.setattr(minari.dataset._storages.hdf5_storage.HDF5Storage, "update_episodes", fail)
    with pytest.raises(SaveError, match="no space left"):
        play(cartpole).to_minari("a-v0", cartpole)
    assert not list((tmp_path / "datasets").iterdir())


def test_writing_leaves_the_demonstrations_as_they_were():
    unfinished = Experiences(np.zeros((3, 4)), [0, 1, 1], [1, 1, 1], [False, False, False])
    with build_env("CartPole-v1", num_env=1) as env:
        dataset = unfinished.to_minari("cartpole/unfinished-v0", env)
    assert dataset[0].truncations.tolist() == [False, False, True]
    assert unfinished.truncated.tolist() == [False, False, False]
