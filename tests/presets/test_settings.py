"""Settings, as files and command lines spell them; runs that are made again from what they wrote."""

import json
from functools import partial
from pathlib import Path

import gymnasium
import pytest
import torch

import ilpyt
from ilpyt.agents import ImitationAgent
from ilpyt.algos import BC
from ilpyt.presets import PAPER_ENVS, SETTINGS, Settings, make_algorithm
from ilpyt.presets.settings import read_schedule, read_wrapper, spell_schedule
from ilpyt.utils.errors import DataError
from ilpyt.utils.schedules import Exponential, Linear, Piecewise
from tests.conftest import ROOT


@pytest.mark.parametrize(("algo", "env_id"), [(algo, env_id) for algo in SETTINGS for env_id in PAPER_ENVS])
def test_all_settings_come_back_from_json(algo, env_id):
    settings = SETTINGS[algo][env_id]
    back = Settings.read(json.loads(json.dumps(settings.spell())))
    assert json.dumps(back.spell()) == json.dumps(settings.spell())
    for part in ("agent", "train"):
        for name, value in vars(settings)[part].items():
            if not isinstance(value, dict | tuple):
                assert vars(back)[part][name] == value
    assert back.env == settings.env  # wrappers among them


@pytest.mark.parametrize(
    "schedule", [Linear(1e-3, 0, 500_000), Exponential(0.5), Piecewise(((0, 1e-3), (200_000, 1e-4)))]
)
def test_schedules_are_spelled_as_python_would(schedule):
    assert read_schedule(spell_schedule(schedule)) == schedule


def test_a_schedule_may_be_spelled_with_keywords():
    assert read_schedule("Linear(start=1, end=0, steps=10)") == Linear(1, 0, 10)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("Quadratic(1)", "schedules are Linear, Piecewise, Exponential"),
        ("Linear(1, 0)", "missing 1 required"),
        ("Linear(1, 0, 0)", "at least 1 step"),
        ("Linear(__import__('os').getcwd(), 0, 1)", "isn't a name"),
        ("1 +", "isn't a name"),
    ],
)
def test_what_is_no_schedule_says_why(text, why):
    with pytest.raises(DataError, match=why):
        read_schedule(text)


def test_a_file_names_our_wrappers_only_and_a_person_any():
    assert read_wrapper("DiscretizeAction", trusted=False) is ilpyt.envs.DiscretizeAction
    stack = read_wrapper("gymnasium.wrappers:FrameStackObservation(stack_size=4)")
    assert isinstance(stack, partial)
    quoted = read_wrapper("gymnasium.wrappers:FrameStackObservation(padding_type='a:b')")
    assert quoted.keywords == {"padding_type": "a:b"}
    assert (stack.func, stack.keywords) == (gymnasium.wrappers.FrameStackObservation, {"stack_size": 4})
    with pytest.raises(DataError, match="would run code of its module"):
        Settings.read({"env": {"wrappers": ["os:system"]}})
    with pytest.raises(DataError, match="no wrapper 'Discretise'"):
        read_wrapper("Discretise")
    with pytest.raises(DataError, match="takes keywords"):
        read_wrapper("gymnasium.wrappers:TimeLimit(4)")


def test_what_a_file_cannot_say_is_an_error():
    with pytest.raises(ValueError, match="a file can't say <function"):
        Settings(agent={"lr": lambda step: 1}).spell()
    with pytest.raises(DataError, match="net of the settings must be keywords"):
        Settings.read({"net": [1]})


def short_run(algo, env_id, path):
    made = make_algorithm(algo, env_id, save_path=path, progress=False)
    made.agent.save(path, 7)
    with made.training(1, "step"):
        pass
    return made


def same_weights(one, other):
    weights = other.get_weights()
    return all(torch.equal(t, weights[n][k]) for n, net in one.get_weights().items() for k, t in net.items())


@pytest.mark.parametrize("algo", list(SETTINGS))
def test_a_run_of_every_algorithm_is_made_again(algo, monkeypatch):
    made = short_run(algo, "MountainCarContinuous-v0", "run")
    torch.manual_seed(99)
    policy = ilpyt.zoo.load_run("run")
    assert same_weights(made.agent, policy.agent)
    assert policy.agent.describe() == made.agent.describe()
    with policy.build_env(num_env=3) as env:
        assert env.action_space == made.env.action_space  # DQN's grid
        assert env.num_envs == 3


def test_a_scripts_run_is_made_again_by_defaults_or_refused():
    env = ilpyt.envs.build_env("CartPole-v0", num_env=2)
    demos = str(ROOT / "demos/CartPole-v0/demos.pkl")
    algo = BC(agent=ImitationAgent(ilpyt.nets.choose_net(env), lr=1e-4), env=env, progress=False)
    algo.train(num_epochs=1, expert_demos=demos)
    assert same_weights(algo.agent, ilpyt.zoo.load_run("logs").agent)
    tanh = ImitationAgent(ilpyt.nets.choose_net(env, activation="tanh"))  # weights of the same shapes
    BC(agent=tanh, env=env, progress=False).train(num_epochs=1, expert_demos=demos)
    with pytest.raises(DataError, match="trained by a script, with other networks than BC's defaults"):
        ilpyt.zoo.load_run("logs")


@pytest.mark.parametrize(
    ("kwargs", "what"),
    [({"wrappers": [lambda env: env]}, "wrappers"), ({"max_episode_steps": 20}, "make_kwargs")],
)
def test_a_scripts_run_in_environments_of_its_own_making_is_refused(kwargs, what):
    env = ilpyt.envs.build_env("CartPole-v0", num_env=2, **kwargs)
    BC(env=env, progress=False).train(num_epochs=1, expert_demos=str(ROOT / "demos/CartPole-v0/demos.pkl"))
    with pytest.raises(DataError, match=f"trained by a script, in environments with {what} of its own"):
        ilpyt.zoo.load_run("logs")


def edit(change):
    config = json.loads(Path("run/config.json").read_text())
    change(config)
    Path("run/config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda c: c["recipe"]["agent"].update(momentum=1), "can't be made again: .*momentum"),
        (
            lambda c: (c["recipe"]["agent"].update(momentum=1), c["versions"].update(ilpyt="0.0.9")),
            r"momentum.*written by ilpyt 0\.0\.9, this is",
        ),
        (
            lambda c: c["recipe"].update(env_id="strangers_module:Evil-v0"),
            "would import a module for 'strangers_module:Evil-v0'; if you trust the file: trusted=True",
        ),
        (lambda c: c["recipe"].update(algorithm="TRPO"), "no algorithm 'TRPO'"),
        (lambda c: c["recipe"].update(env_id="strangers_module.(x:Foo-v0"), "would import a module"),
        (lambda c: c["recipe"].update(env={"wrappers": ["strangers_module:Foo"]}), "would run code"),
        (lambda c: c["recipe"].update(env={"wrappers": ["strangers_module:Foo(x='a:b')"]}), "would run code"),
        (lambda c: c.update(recipe=[1]), r"its recipe is '\[1\]'; it must be algorithm, env_id, seed"),
        (lambda c: c["recipe"].update(seed="x"), "seed of its recipe is 'x'; it must be of type int"),
        (lambda c: c["recipe"].update(net={"hidden_sizes": [3]}), "holds weights of another network"),
        (lambda c: c.pop("versions"), "isn't the config.json of a run: it doesn't say versions"),
    ],
)
def test_a_broken_or_foreign_config_is_a_clear_error(change, why, strangers_module):
    short_run("PPO", "CartPole-v0", "run")
    edit(change)
    with pytest.raises(DataError, match=why):
        ilpyt.zoo.load_run("run")


def test_half_a_run_is_a_clear_error():
    Path("run").mkdir()
    with pytest.raises(FileNotFoundError, match=r"no .*config\.json; a training that has begun writes one"):
        ilpyt.zoo.load_run("run")
    Path("run/config.json").write_text('{"algorithm": ')
    with pytest.raises(DataError, match="broken, or not the config.json of a run"):
        ilpyt.zoo.load_run("run")
    short_run("PPO", "CartPole-v0", "run")
    for file in Path("run").glob("*.pth"):
        file.unlink()
    with pytest.raises(FileNotFoundError, match="to load; it has no weights"):
        ilpyt.zoo.load_run("run")


def test_policies_are_found_by_folder_or_name():
    assert ilpyt.zoo.find("GAIL/CartPole-v0").env_id == "CartPole-v0"
    with pytest.raises(ValueError, match="no algorithm 'gail'. Did you mean GAIL"):
        ilpyt.zoo.find("gail/CartPole-v0")
    with pytest.raises(FileNotFoundError, match=r"no folder './nowhere'; a policy is a run's folder, or"):
        ilpyt.zoo.find("./nowhere")


def test_an_algorithm_that_fails_closes_its_environments(monkeypatch):
    closed = []
    monkeypatch.setattr(ilpyt.envs.VecEnv, "close", lambda self: closed.append(self))
    with pytest.raises(TypeError, match="lrr"):
        make_algorithm("BC", "CartPole-v0", settings=Settings(agent={"lrr": 1}))
    assert len(closed) == 1


def test_a_recipe_says_which_weights_a_run_began_with():
    made = short_run("BC", "CartPole-v0", "first")
    algo = make_algorithm("BC", "CartPole-v0", save_path="second", load_path="first", progress=False)
    assert same_weights(made.agent, algo.agent)
    assert algo.recipe["initialize"] == {"load_path": "first"}
    assert made.recipe["initialize"] == {}
