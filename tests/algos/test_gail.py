"""GAIL as an experiment: what it reads, what it doesn't, and how it ends."""

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from gymnasium import spaces

import ilpyt
from ilpyt.agents import GAILAgent
from ilpyt.algos import A2C, DQN, GAIL
from ilpyt.algos.bc import clone
from ilpyt.algos.gail import transitions_for
from ilpyt.nets import choose_net
from ilpyt.runners import Experiences, Runner
from ilpyt.utils.errors import DataError, TrainingError
from ilpyt.utils.seed_utils import set_seed
from tests.conftest import ROOT
from tests.counter import Counter
from tests.seek import Seek, Seeker

DEMOS = ROOT / "demos/CartPole-v0/demos.pkl"
LEARNER = {"lr": 2e-3, "gamma": 0.98, "gae_lambda": 0.8, "batch_size": 256, "reward_scale": 0.1}


@pytest.fixture(scope="module")
def env():
    with ilpyt.envs.build_env("CartPole-v0", num_env=8) as env:
        yield env


def make(env, **agent_kwargs):
    set_seed(0)
    agent = GAIL.make_agent(env, net={"hidden_sizes": (64, 64)}, learner=LEARNER, **agent_kwargs)
    return GAIL(env=env, agent=agent, progress=False)


def weights(agent):
    return torch.cat([t.flatten() for _, net in agent.named_nets() for t in net.state_dict().values()])


def seek(reward_of=None):
    """GAIL on a task in which lasting long is no merit; the mean return, and what was logged last."""
    set_seed(0)
    env = ilpyt.envs.build_env(Seek, num_env=8)
    demos = Runner(env, Seeker()).generate_episodes(40)
    learner = {"lr": 1e-3, "gamma": 0.95, "batch_size": 128, "num_epochs": 10}
    agent = GAIL.make_agent(env, net={"hidden_sizes": (32, 32)}, learner=learner, reward="logit")
    if reward_of is not None:
        agent.reward_of = reward_of
    algo = GAIL(env=env, agent=agent, progress=False)
    algo.train(rollout_steps=40, expert_demos=demos, num_steps=16_000)
    with open("logs/progress.csv", newline="") as file:
        return np.mean(algo.test(100)), list(csv.DictReader(file))[-1]


def test_it_learns_to_seek_without_rewards():
    score, row = seek()
    assert score > -5  # the expert: -2.2
    config = json.loads(Path("logs/config.json").read_text())
    assert (config["agent"]["reward"], config["agent"]["gen"]["gamma"]) == ("logit", 0.95)
    assert set(config["nets"]) == {"disc", "gen_actor", "gen_critic"}
    assert {"disc/accuracy", "disc/entropy", "learned_reward/mean", "learned_reward/std", "episode/return"} <= set(row)
    blind, _ = seek(torch.ones_like)
    assert blind < -8


def test_the_environments_rewards_change_nothing(env):
    def trained(reward):
        algo = make(env)
        generate = algo.runner.generate_batch
        algo.runner.generate_batch = lambda steps: (batch := generate(steps)).replace(
            rewards=torch.full_like(batch.rewards, reward)
        )
        algo.runner.reset(0)
        algo.train(rollout_steps=8, expert_demos=DEMOS, num_steps=200, log_interval=1)
        return weights(algo.agent)

    assert torch.equal(trained(0.0), trained(math.nan))


@pytest.mark.parametrize(("algo_class", "rollout_steps"), [(A2C, 8), (DQN, 1)])
def test_any_learner_gets_rollouts_of_its_own_length(env, algo_class, rollout_steps):
    set_seed(0)
    disc = choose_net(env, output_shape=1, with_action_shape=True, normalize=True)
    agent = GAILAgent(algo_class.make_agent(env), disc, num_disc_updates=1, batch_size=32)
    algo = GAIL(env=env, agent=agent, progress=False)
    lengths = []
    update = agent.update
    agent.update = lambda batch: lengths.append(len(batch)) or update(batch)
    algo.train(expert_demos=DEMOS, num_steps=100)
    assert set(lengths) == {rollout_steps}


def test_a_reward_of_one_sign_says_how_long_to_go_on():
    """Where expert and learner can't be told apart, it pays to go on if rewards are positive, to end if they aren't."""

    class Choice(Counter):
        """Action 1 ends the episode, which ends by itself after 8 steps; all states look the same."""

        def observe(self):
            return np.zeros(2, np.float32)

        def step(self, action):
            state, reward, terminated, truncated, info = super().step(action)
            return state, reward, terminated or action == 1, truncated, info

    def share_of_ends(reward):
        set_seed(0)
        env = ilpyt.envs.build_env(lambda: Choice(8, truncates=False, action_space=spaces.Discrete(2)), num_env=8)
        disc = choose_net(env, output_shape=1)
        agent = GAILAgent(A2C.make_agent(env, lr=2e-2), disc, reward=reward, state_only=True, num_disc_updates=1)
        algo = GAIL(env=env, agent=agent, progress=False)
        demos = Experiences(np.zeros((40, 2)), np.zeros(40, int), np.zeros(40), np.arange(1, 41) % 8 == 0)
        algo.train(rollout_steps=16, expert_demos=demos, num_steps=16 * 8 * 60)
        with torch.no_grad():
            return agent.gen.actor.get_distribution(torch.zeros(1, 2)).log_probs.exp()[0, 1].item()

    assert share_of_ends("softplus") < 0.1
    assert share_of_ends("logsigmoid") > 0.9


def test_next_states_of_demonstrations_are_those_of_the_same_episode(env):
    agent = GAIL.make_agent(env, disc={"with_action_shape": False, "with_next_state": True})
    states = np.arange(20.0).reshape(5, 4)
    demos = Experiences(states, [0, 1, 0, 1, 0], np.zeros(5), [False, True, False, False, True])
    pairs = transitions_for(agent, demos)
    assert pairs.states[:, 0].tolist() == [0, 8, 12]
    assert pairs.next_states[:, 0].tolist() == [4, 12, 16]
    assert pairs.actions.tolist() == [0, 0, 1]
    unfinished = Experiences(states, [0, 1, 0, 1, 0], np.zeros(5), [False] * 5)
    assert len(transitions_for(agent, unfinished).states) == 4


def test_fewer_demonstrations_than_a_minibatch_are_repeated(env, capsys):
    set_seed(0)
    algo = GAIL(env=env)
    algo.train(expert_demos=Experiences.load(DEMOS)[:50], num_steps=200, rollout_steps=8)
    assert "50 transitions of the expert are fewer than a minibatch; they are repeated." in capsys.readouterr().err


def test_a_warm_start_is_the_experts_policy_with_its_own_noise():
    env = ilpyt.envs.build_env("MountainCarContinuous-v0", num_env=2)
    set_seed(0)
    demos = Experiences.load(ROOT / "demos/MountainCarContinuous-v0/demos.pkl")
    net = choose_net(env, normalize=True, log_std=-0.7)
    before = net.get_distribution(demos.states).mode_error(demos.actions).mean()
    clone(net, demos, 5)
    after = net.get_distribution(demos.states).mode_error(demos.actions).mean()
    assert after < 0.15 * before
    assert net.log_std.item() == pytest.approx(-0.7)
    deviations = choose_net(env, normalize=True, log_std=-0.7)
    clone(deviations, demos, 5, fit_std=True)
    errors = deviations.get_distribution(demos.states).mode_error(demos.actions).mean().sqrt()
    assert deviations.log_std.exp().item() == pytest.approx(errors.item(), rel=1e-4)
    agent = GAILAgent(DQN.make_agent(ilpyt.envs.build_env("CartPole-v0", num_env=2)), choose_net(
        ilpyt.envs.build_env("CartPole-v0", num_env=2), output_shape=1, with_action_shape=True))  # fmt: skip
    algo = GAIL(env=ilpyt.envs.build_env("CartPole-v0", num_env=2), agent=agent, progress=False)
    with pytest.raises(TypeError, match="a DQNAgent has no policy that could be cloned"):
        algo.train(expert_demos=DEMOS, num_steps=10, warm_start_epochs=1)


def test_bad_input_is_an_error(env):
    algo = make(env)
    with pytest.raises(TypeError, match="needs expert_demos"):
        algo.train(num_steps=10)
    with pytest.raises(TypeError, match="needs num_episodes or num_steps"):
        algo.train(expert_demos=DEMOS)
    with pytest.raises(DataError, match="a state has shape"):
        algo.train(expert_demos=ROOT / "demos/MountainCar-v0/demos.pkl", num_steps=10)
    with pytest.raises(DataError, match="policy of 2 outputs, but MountainCar"):
        GAIL(env=ilpyt.envs.build_env("MountainCar-v0", num_env=1), agent=wide_agent(env), progress=False)
    with pytest.raises(TypeError, match="GAIL trains agents of class GAILAgent, not PPOAgent"):
        GAIL(env=env, agent=ilpyt.algos.PPO.make_agent(env))


def wide_agent(env):
    """An agent for two actions that takes MountainCar's states."""
    mountain_car = ilpyt.envs.build_env("MountainCar-v0", num_env=1)
    gen = ilpyt.agents.PPOAgent(
        ilpyt.nets.Net1D((2,), 2, action_type="discrete"), choose_net(mountain_car, output_shape=1)
    )
    return GAILAgent(gen, choose_net(mountain_car, output_shape=1), state_only=True)


def test_a_loss_that_isnt_finite_stops_it(env):
    algo = make(env)
    update = algo.agent.update
    calls = []

    def poisoned(batch):
        calls.append(weights(algo.agent))
        if len(calls) == 3:
            with torch.no_grad():
                algo.agent.disc.layers[0].bias[0] = math.nan
        return update(batch)

    algo.agent.update = poisoned
    with pytest.raises(TrainingError, match="disc loss is nan"):
        algo.train(expert_demos=DEMOS, num_steps=1000, rollout_steps=8)
    assert len(calls) == 3


def test_a_warm_start_begins_where_cloning_ends_and_comes_once(env):
    algo = make(env)
    kwargs = {"rollout_steps": 32, "expert_demos": DEMOS, "num_steps": 256, "log_interval": 1, "warm_start_epochs": 5}
    algo.train(**kwargs)
    assert np.mean(algo.test(20)) > 120
    before = weights(algo.agent.gen)
    algo.agent.update = lambda batch: {}
    algo.train(**kwargs)
    assert torch.equal(before, weights(algo.agent.gen))
    with pytest.raises(ValueError, match="warm_start_epochs must be at least 0, got -1"):
        algo.train(num_steps=1, expert_demos=DEMOS, warm_start_epochs=-1)


def test_demonstrations_without_two_steps_in_a_row_have_no_next_states(env):
    agent = GAIL.make_agent(env, disc={"with_action_shape": False, "with_next_state": True})
    demos = Experiences(np.zeros((2, 4)), [0, 1], np.zeros(2), [True, True])
    with pytest.raises(DataError, match="no two steps in a row"):
        GAIL(env=env, agent=agent, progress=False).train(num_steps=10, expert_demos=demos)


def test_a_discriminator_of_another_environment_is_found_before_training(env):
    other = ilpyt.envs.build_env("MountainCar-v0", num_env=1)
    disc = choose_net(other, output_shape=1, with_action_shape=True)
    with pytest.raises(DataError, match="the disc of GAILAgent fails on the states of CartPole-v0"):
        GAIL(env=env, agent=GAILAgent(ilpyt.algos.PPO.make_agent(env), disc), progress=False)
