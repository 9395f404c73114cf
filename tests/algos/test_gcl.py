"""Guided cost learning as an experiment."""

import csv
import math

import numpy as np
import pytest
import torch

import ilpyt
from ilpyt.algos import GCL
from ilpyt.runners import Experiences, Runner
from ilpyt.utils.errors import DataError
from ilpyt.utils.seed_utils import set_seed
from tests.conftest import ROOT
from tests.seek import Seek, Seeker

DEMOS = ROOT / "demos/CartPole-v0/demos.pkl"


@pytest.fixture(scope="module")
def env():
    with ilpyt.envs.build_env("CartPole-v0", num_env=8) as env:
        yield env


def make(env):
    set_seed(0)
    agent = GCL.make_agent(env, net={"hidden_sizes": (64, 64)}, learner={"batch_size": 256, "lr": 1e-3})
    return GCL(env=env, agent=agent, progress=False)


def weights(agent):
    return torch.cat([t.flatten() for _, net in agent.named_nets() for t in net.state_dict().values()])


def test_it_iterates_over_whole_episodes_and_logs_both_sides(env):
    algo = make(env)
    algo.train(48, 3, 4, DEMOS, rollout_episodes=16, clone_epochs=1, log_interval=1)
    with open("logs/progress.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    episodes = [float(row["episodes"]) for row in rows]
    assert set(episodes) <= {16, 32, 48}
    assert episodes[-1] == 48
    assert {"cost/expert", "cost/samples", "cost/effective_samples", "learned_reward/mean", "episode/return"} <= set(
        rows[0]
    )


def test_the_environments_rewards_change_nothing(env):
    def trained(reward):
        algo = make(env)
        generate = algo.runner.generate_trajectories
        algo.runner.generate_trajectories = lambda n: (batch := generate(n)).replace(
            rewards=torch.full_like(batch.rewards, reward)
        )
        env.reset(0)
        algo.train(20, 2, 4, DEMOS, rollout_episodes=10, clone_epochs=1)
        return weights(algo.agent)

    assert torch.equal(trained(0.0), trained(math.nan))


def test_it_learns_to_seek_without_rewards():
    set_seed(0)
    env = ilpyt.envs.build_env(Seek, num_env=8)
    demos = Runner(env, Seeker()).generate_episodes(40)
    learner = {"lr": 1e-3, "gamma": 0.95, "batch_size": 128, "num_epochs": 10}
    agent = GCL.make_agent(env, net={"hidden_sizes": (32, 32)}, learner=learner)
    algo = GCL(env=env, agent=agent, progress=False)
    algo.train(num_steps=30_000, expert_demos=demos)
    assert np.mean(algo.test(100)) > -5  # the expert: -2.2; rewards that say nothing: under -8 (test_gail.py)


def test_the_proposal_is_a_clone_also_of_the_experts_deviations_whatever_the_learner_begins_with(monkeypatch):
    env = ilpyt.envs.build_env("MountainCarContinuous-v0", num_env=2)
    set_seed(0)
    agent = GCL.make_agent(env, net={"normalize": True, "log_std": -0.5})
    algo = GCL(env=env, agent=agent, progress=False)
    monkeypatch.setattr(agent, "update", lambda *_: {})
    demos = Experiences.load(ROOT / "demos/MountainCarContinuous-v0/demos.pkl")
    for warm_start in (False, True):
        algo.train(1, 1, 1, demos, rollout_episodes=2, clone_epochs=5, warm_start=warm_start)
        proposal = agent._proposals[0]
        assert proposal.log_std.item() < -1
        assert proposal.get_distribution(demos.states).mode_error(demos.actions).mean() < 0.5
        assert agent.actor.actor.log_std.item() == pytest.approx(-0.5)
        learner_error = agent.actor.actor.get_distribution(demos.states).mode_error(demos.actions).mean()
        assert (learner_error < 0.5) == warm_start


def test_a_warm_start_begins_where_cloning_ends(env):
    def first_return(**kwargs):
        algo = make(env)
        algo.train(16, 1, 4, DEMOS, rollout_episodes=16, clone_epochs=5, log_interval=1, **kwargs)
        with open("logs/progress.csv", newline="") as file:
            return float(next(csv.DictReader(file))["episode/return"])

    assert first_return() < 50
    assert first_return(warm_start=True) > 100


def test_bad_input_is_an_error(env):
    algo = make(env)
    with pytest.raises(TypeError, match="needs expert_demos"):
        algo.train(10)
    for name in ("num_reward_updates", "batch_size", "rollout_episodes", "clone_epochs"):
        with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
            algo.train(10, expert_demos=DEMOS, **{name: 0})
    with pytest.raises(DataError, match="a state has shape"):
        algo.train(10, expert_demos=ROOT / "demos/MountainCar-v0/demos.pkl")


def test_a_single_short_demonstration_is_enough_to_run(env):
    demos = Experiences(np.zeros((3, 4)), [0, 1, 0], np.zeros(3), [False, False, True])
    algo = make(env)
    algo.train(4, 1, 16, demos, rollout_episodes=2, clone_epochs=1)
    assert algo.runner.episodes == 4
    assert all(torch.isfinite(p).all() for _, net in algo.agent.named_nets() for p in net.parameters())
