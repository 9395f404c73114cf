"""What a runner hands back is what happened."""

import numpy as np
import pytest
import torch

import ilpyt
from ilpyt.agents import BaseAgent, CartPoleHeuristicAgent, ImitationAgent
from ilpyt.envs import DummyVecEnv
from ilpyt.nets import choose_net
from ilpyt.runners import Runner, evaluate, play
from tests.counter import Counter


class Constant(BaseAgent):
    """Always acts alike; keeps the states that it was shown."""

    def initialize(self, action=0):
        self.action, self.seen = action, []

    def step(self, state):
        self.seen.append(state.clone())
        return np.full(len(state), self.action)

    def update(self, batch):
        return {}


def counters(*lengths, **kwargs):
    return DummyVecEnv([lambda n=n: Counter(length=n, **kwargs) for n in lengths])


def test_a_batch_is_time_major_and_holds_the_true_successors():
    runner = Runner(counters(2, 3), Constant(1))
    batch = runner.generate_batch(4)
    assert batch.states.shape == (4, 2, 2)
    assert batch.states[:, 0].tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
    assert batch.next_states[:, 0].tolist() == [[0, 1], [0, 2], [1, 1], [1, 2]]
    assert batch.next_states[:, 1].tolist() == [[0, 1], [0, 2], [0, 3], [1, 1]]
    assert batch.dones[:, 0].tolist() == [False, True, False, True]
    assert batch.dones.tolist() == batch.terminated.tolist()
    assert batch.actions.unique().tolist() == [1]
    assert (batch.states.dtype, batch.actions.dtype, batch.rewards.dtype) == (torch.float32, torch.int64, torch.float32)


def test_a_truncated_episode_is_done_but_not_terminated():
    batch = Runner(counters(2, truncates=True), Constant()).generate_batch(2)
    assert batch.dones.flatten().tolist() == [False, True]
    assert not batch.terminated.any()


def test_an_episode_that_is_both_counts_as_terminated():
    batch = Runner(counters(2, both=True), Constant()).generate_batch(2)
    assert batch.terminated.flatten().tolist() == [False, True]


def test_batches_go_on_where_the_last_one_ended():
    agent = Constant()
    runner = Runner(counters(5), agent)
    batches = [runner.generate_batch(3) for _ in range(3)]
    assert torch.cat([b.states for b in batches])[:, 0, 1].tolist() == [0, 1, 2, 3, 4, 0, 1, 2, 3]
    torch.testing.assert_close(torch.stack(agent.seen), torch.cat([b.states for b in batches]))
    assert runner.env.envs[0].unwrapped.seeds == [None, None]  # one reset at the start, one after the episode


def test_finished_episodes_are_reported_with_return_and_length():
    runner = Runner(counters(2, 3), Constant())
    infos = [info for _ in range(3) for info in runner.generate_batch(2).infos]
    assert infos == [
        {"env": 0, "return": 2.0, "length": 2},
        {"env": 1, "return": 3.0, "length": 3},
        {"env": 0, "return": 2.0, "length": 2},
        {"env": 0, "return": 2.0, "length": 2},
        {"env": 1, "return": 3.0, "length": 3},
    ]


@pytest.mark.parametrize("num_episodes", [1, 2, 3, 5, 6, 8])
def test_short_episodes_are_not_counted_too_often(num_episodes):
    """Episode k is environment k % 3's, however long the others' take."""
    lengths = (1, 4, 9)
    experiences = Runner(counters(*lengths), Constant()).generate_episodes(num_episodes)
    assert experiences.get_episode_rewards() == [lengths[k % 3] for k in range(num_episodes)]
    assert [len(e) for e in experiences.episodes()] == [lengths[k % 3] for k in range(num_episodes)]
    assert bool(experiences.dones[-1])


def test_episodes_are_whole_even_amid_a_rollout():
    runner = Runner(counters(4, 6), Constant())
    runner.generate_batch(3)
    assert [e.states[0, 1].item() for e in runner.generate_episodes(4).episodes()] == [0, 0, 0, 0]
    assert runner.generate_batch(1).states[0, :, 1].tolist() == [0, 0]


def test_truncations_are_recorded_in_episodes():
    experiences = Runner(counters(2, truncates=True), Constant()).generate_episodes(2)
    assert experiences.dones.tolist() == experiences.truncated.tolist() == [False, True, False, True]


def test_recorded_actions_are_as_the_environment_took_them():
    with ilpyt.envs.build_env("MountainCarContinuous-v0", num_env=2, max_episode_steps=20) as env:
        torch.manual_seed(0)
        agent = ImitationAgent(choose_net(env))
        assert Runner(env, agent).generate_batch(20).actions.abs().max() > 1
        recorded = Runner(env, agent).generate_episodes(2)
        assert recorded.actions.abs().max() == 1
        recorded.fit_to(env)


@pytest.mark.parametrize("call", ["generate_batch", "generate_episodes", "evaluate"])
def test_nothing_to_do_is_an_error(call):
    with pytest.raises(ValueError, match="at least 1, got 0"):
        getattr(Runner(counters(2), Constant()), call)(0)


def test_dummy_and_subproc_give_identical_batches():
    batches = []
    for kind in ("dummy", "subproc"):
        with ilpyt.envs.build_env("CartPole-v1", num_env=4, vecenv_type=kind) as env:
            torch.manual_seed(0)
            batches.append(Runner(env, ImitationAgent(choose_net(env))).generate_batch(60))
    for name, tensor in batches[0].tensors().items():
        assert torch.equal(tensor, batches[1][name])
    assert batches[0].infos == batches[1].infos


# --- evaluate


def test_evaluation_doesnt_depend_on_the_number_of_environments():
    results = []
    for n in (1, 7):
        with ilpyt.envs.build_env("MountainCar-v0", num_env=n) as env:
            results.append(evaluate(ilpyt.agents.MountainCarHeuristicAgent(), env, 30))
    assert results[0] == results[1]
    assert len(set(results[0])) > 5


def test_episode_k_has_seed_plus_k(monkeypatch):
    monkeypatch.setattr(ilpyt.runners.runner, "EVALUATION_ENVS", 3)

    class ReturnsItsSeed(Counter):
        def step(self, action):
            observation, _, *rest = super().step(action)
            return observation, float(self.seeds[-1] or 0), *rest

    with DummyVecEnv([lambda: ReturnsItsSeed(length=1)]) as env:
        assert evaluate(Constant(), env, 8, seed=50) == [50, 51, 52, 53, 54, 55, 56, 57]


def test_evaluation_leaves_everything_as_it_was():
    class DrawsNumbers(ImitationAgent):
        def step(self, state):
            torch.rand(1), np.random.rand()
            return super().step(state)

    with ilpyt.envs.build_env("CartPole-v1", num_env=2) as env:
        agent = DrawsNumbers(choose_net(env))
        runner = Runner(env, agent)
        runner.generate_batch(5)
        states, torch_state, numpy_state = runner._states.copy(), torch.get_rng_state(), np.random.get_state()[1].copy()
        evaluate(agent, env, 3)
        assert agent.training
        assert torch.equal(torch.get_rng_state(), torch_state)
        assert (np.random.get_state()[1] == numpy_state).all()
        np.testing.assert_array_equal(runner.generate_batch(1).states[0].numpy(), states)


def test_the_expert_solves_cartpole():
    with ilpyt.envs.build_env("CartPole-v0", num_env=1) as env:
        assert evaluate(CartPoleHeuristicAgent(), env, 20) == [200.0] * 20


@pytest.mark.parametrize("truncates", [False, True])
def test_trajectories_are_whole_episodes_end_to_end_with_their_true_successors(truncates):
    runner = Runner(counters(2, 3, truncates=truncates), Constant(1))
    batch = runner.generate_trajectories(3)  # two of the first environment, one of the second
    assert batch.states.shape == (7, 1, 2)
    assert batch.states[:, 0].tolist() == [[0, 0], [0, 1], [0, 0], [0, 1], [0, 2], [1, 0], [1, 1]]
    assert batch.next_states[:, 0].tolist() == [[0, 1], [0, 2], [0, 1], [0, 2], [0, 3], [1, 1], [1, 2]]
    assert batch.dones[:, 0].tolist() == [False, True, False, False, True, False, True]
    assert torch.equal(batch.terminated, batch.dones & (not truncates))
    assert [(info["return"], info["length"]) for info in batch.infos] == [(2, 2), (3, 3), (2, 2)]


def test_play_gives_the_episodes_that_evaluate_scores():
    env = ilpyt.envs.build_env("CartPole-v0", num_env=3)
    agent = CartPoleHeuristicAgent()
    episodes = play(agent, env, 7, seed=5)
    assert episodes.get_episode_rewards() == evaluate(agent, env, 7, seed=5)
    assert torch.equal(episodes.actions, agent.act(episodes.states))
