"""The model zoo: all agents are there, load, act, and are what their cards say."""

import json

import numpy as np
import pytest
import torch

import ilpyt
from ilpyt.envs import DiscretizeAction
from ilpyt.presets import PAPER_ENVS, SETTINGS
from ilpyt.runners import evaluate
from tests.conftest import ROOT

CELLS = [(algo, env_id) for algo in SETTINGS for env_id in PAPER_ENVS]
SAMPLE = [
    ("BC", "CartPole-v0"),
    ("GAIL", "CartPole-v0"),
    ("PPO", "MountainCar-v0"),
    ("AppL", "MountainCarContinuous-v0"),
]


@pytest.mark.parametrize(("algo", "env_id"), CELLS)
def test_every_agent_acts_greedily_and_has_a_card_and_small_files(algo, env_id):
    agent = ilpyt.zoo.load(algo, env_id)
    with ilpyt.envs.build_env(env_id, **SETTINGS[algo][env_id].env) as env:
        states = torch.from_numpy(env.reset(0))
        actions = agent.step(states)
        assert actions.shape == (env.num_envs, *env.action_shape)
        np.testing.assert_array_equal(agent.step(states), actions)
        env.step(actions)
    card = ilpyt.zoo.card(algo, env_id)
    assert (card["algo"], card["env_id"]) == (algo, env_id)
    assert len(card["returns"]) == 100
    assert card["mean"] == np.mean(card["returns"])
    assert card["command"] == f"python benchmarks/table1.py --algo {algo} --env {env_id} --seeds {card['seed']}"
    assert card["config"]["versions"].keys() >= {"torch", "numpy", "gymnasium"}
    assert card["config"]["algorithm"] == algo
    files = list((ROOT / "model_zoo" / algo / env_id).iterdir())
    assert all(file.stat().st_size < 1_000_000 for file in files)


@pytest.mark.parametrize(("algo", "env_id"), CELLS)
def test_a_card_is_the_median_seeds_published_result(algo, env_id):
    card = ilpyt.zoo.card(algo, env_id)
    folder = ROOT / "benchmarks/results/table1" / algo / env_id
    results = {r["seed"]: r for r in (json.loads(path.read_text()) for path in folder.glob("*/result.json"))}
    assert len(results) >= 3
    assert card == results[card["seed"]]
    assert card["mean"] == sorted(r["mean"] for r in results.values())[(len(results) - 1) // 2]


@pytest.mark.parametrize(("algo", "env_id"), SAMPLE)
def test_agents_reach_the_mean_on_their_card(algo, env_id):
    card = ilpyt.zoo.card(algo, env_id)
    with ilpyt.envs.build_env(env_id, **SETTINGS[algo][env_id].env) as env:
        returns = evaluate(ilpyt.zoo.load(algo, env_id), env, 100)
    np.testing.assert_allclose(np.mean(returns), card["mean"], atol=0.5)  # exact on processors that round alike


def test_the_agent_can_learn_on(tmp_path):
    agent = ilpyt.zoo.load("PPO", "CartPole-v0")
    before = agent.get_weights()
    with ilpyt.envs.build_env("CartPole-v0", num_env=8) as env:
        ilpyt.algos.PPO(agent=agent, env=env, save_path=tmp_path, progress=False).train(num_steps=256, rollout_steps=32)
    assert any(not torch.equal(w, before["actor"][name]) for name, w in agent.get_weights()["actor"].items())


def test_dqn_on_continuous_actions_acts_on_the_grid_and_says_so_elsewhere():
    agent = ilpyt.zoo.load("DQN", "MountainCarContinuous-v0")
    with ilpyt.envs.build_env("MountainCarContinuous-v0", num_env=4, wrappers=[DiscretizeAction]) as env:
        assert np.mean(evaluate(agent, env, 8)) > 85
    with ilpyt.envs.build_env("MountainCarContinuous-v0", num_env=4) as env, pytest.raises(ValueError, match="action"):
        evaluate(agent, env, 8)


def test_what_isnt_there_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"'TRPO'.*BC, DAgger, GAIL, GCL, AppL, DQN, A2C, PPO"):
        ilpyt.zoo.load("TRPO", "CartPole-v0")
    with pytest.raises(ValueError, match=r"BC has no settings for 'Pong-v0'.*CartPole-v0, MountainCar-v0"):
        ilpyt.zoo.card("BC", "Pong-v0")
    with pytest.raises(ValueError, match="'TRPO'"):
        ilpyt.presets.make_algorithm("TRPO", "CartPole-v0")
    with pytest.raises(FileNotFoundError, match="give its path as `folder`"):
        ilpyt.zoo.load("BC", "CartPole-v0", tmp_path)
