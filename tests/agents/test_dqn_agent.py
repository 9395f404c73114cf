"""DQN, against Markov decision processes that are solved exactly."""

import copy

import numpy as np
import pytest
import torch

from ilpyt.agents import DQNAgent
from ilpyt.agents.dqn_agent import td_loss
from ilpyt.nets import Net1D
from ilpyt.runners import Batch
from ilpyt.utils.replay_memory import Transitions
from ilpyt.utils.seed_utils import set_seed

GAMMA = 0.8


def make_agent(states=2, actions=2, **kwargs):
    net = Net1D((states,), actions, action_type="discrete", hidden_sizes=())
    return DQNAgent(net, **{"lr": 0.02, "gamma": GAMMA, "learning_starts": 1, "batch_size": 32, **kwargs})


def one_hot(state, size=2):
    return torch.nn.functional.one_hot(state, size).float()


def two_states(steps, num_envs, seed=0):
    """Random actions in an MDP of two states, whose episodes end in both ways.

    In state 0, action 0 stays (reward 1), action 1 goes to state 1 (reward 0). In state 1, action 0 terminates (reward
    2), action 1 goes to state 0 (reward 0.5); there the episode is cut off, by a time limit that knows nothing of it.
    """
    rng = np.random.default_rng(seed)
    state, action = rng.integers(0, 2, (2, steps, num_envs))
    reward = np.array([[1.0, 0.0], [2.0, 0.5]])[state, action]
    successor = np.array([[0, 1], [1, 0]])[state, action]
    terminated = (state == 1) & (action == 0)
    truncated = (state == 1) & (action == 1)
    to = torch.from_numpy
    return Batch(
        one_hot(to(state)), to(action), to(reward).float(), to(terminated | truncated), to(terminated),
        one_hot(to(successor)),
    )  # fmt: skip


def solve(bootstraps_when_terminated=False, bootstraps_when_truncated=True):
    """Q* of `two_states` by value iteration."""
    q = np.zeros((2, 2))
    for _ in range(500):
        v = q.max(1)
        q = np.array(
            [
                [1 + GAMMA * v[0], GAMMA * v[1]],
                [2 + GAMMA * v[1] * bootstraps_when_terminated, 0.5 + GAMMA * v[0] * bootstraps_when_truncated],
            ]
        )
    return q


def learn(agent, batches=40):
    for i in range(batches):
        agent.update(two_states(25, 4, seed=i))
    return agent.net(torch.eye(2)).detach().numpy()


@pytest.mark.parametrize("double", [False, True])
def test_the_fixed_point_on_a_two_state_mdp_is_its_optimal_value(double):
    set_seed(0)
    q = learn(make_agent(tau=0.05, double=double, replay_ratio=1.0))
    np.testing.assert_allclose(q, solve(), atol=1e-2)
    for mutation in ({"bootstraps_when_terminated": True}, {"bootstraps_when_truncated": False}):
        assert np.abs(q - solve(**mutation)).max() > 0.5  # so that a wrong one couldn't pass


def test_periodic_copies_of_the_network_lead_to_the_same_values():
    set_seed(0)
    q = learn(make_agent(tau=1.0, target_update_interval=100, replay_ratio=1.0))
    np.testing.assert_allclose(q, solve(), atol=1e-2)


def test_targets_are_the_rewards_and_the_discounted_value_of_what_follows():
    agent = make_agent()
    sample = Transitions(
        torch.eye(2), torch.tensor([0, 1]), torch.tensor([1.0, 2.0]), torch.eye(2), torch.tensor([0.5, 0.0])
    )
    for net, weight in ((agent.net, [[5.0, 1.0], [0.0, 3.0]]), (agent.target_net, [[10.0, 0.0], [20.0, 0.0]])):
        net.layers[0].weight.data.copy_(torch.tensor(weight))
        net.layers[0].bias.data.zero_()
    # Q(s0, .) = (5, 0), Q(s1, .) = (1, 3); target (10, 20), (0, 0)
    assert agent.targets(sample).tolist() == [1 + 0.5 * 20, 2.0]
    agent.double = True
    assert agent.targets(sample).tolist() == [1 + 0.5 * 10, 2.0]


def test_the_loss_is_hubers():
    q = torch.tensor([[1.0, 5.0], [2.0, 0.0], [0.0, 0.0]])
    loss = td_loss(q, torch.tensor([1, 0, 1]), torch.tensor([4.5, 5.0, 0.0]))
    assert loss.item() == pytest.approx((0.5 * 0.5**2 + (3 - 0.5) + 0) / 3)


@pytest.mark.parametrize(("steps", "num_envs"), [(1, 1), (1, 16), (5, 4), (50, 2)])
def test_updates_follow_env_steps_however_long_rollouts_are(steps, num_envs):
    agent = make_agent(replay_ratio=0.3)
    for i in range(600 // (steps * num_envs)):
        agent.update(two_states(steps, num_envs, seed=i))
    learnt = agent.env_steps - 31  # from the transition on that fills a batch
    assert agent.updates == pytest.approx(0.3 * learnt, abs=0.3 * steps * num_envs + 1)


def test_nothing_is_learnt_before_learning_starts():
    agent = make_agent(learning_starts=200)
    before = agent.net.layers[0].weight.clone()
    metrics = agent.update(two_states(20, 9))
    assert torch.equal(agent.net.layers[0].weight, before)
    assert np.isnan(metrics["q/loss"])
    later = agent.update(two_states(20, 9))
    assert not np.isnan(later["q/loss"])
    assert later.keys() == metrics.keys()


def test_the_target_network_moves_by_tau():
    agent = make_agent(tau=0.1, replay_ratio=1 / 32)
    target, _bias = (p.clone() for p in agent.target_net.parameters())
    agent.update(two_states(32, 1))
    own = agent.net.layers[0].weight
    assert agent.updates == 1
    assert not torch.equal(own, target)
    torch.testing.assert_close(agent.target_net.layers[0].weight, 0.9 * target + 0.1 * own)


def test_the_target_network_is_copied_every_so_many_updates():
    agent = make_agent(tau=1.0, target_update_interval=3, replay_ratio=1 / 32)
    same = []
    for i in range(6):
        agent.update(two_states(32, 1, seed=i))
        same.append(torch.equal(agent.net.layers[0].weight, agent.target_net.layers[0].weight))
    assert same == [False, False, True, False, False, True]


def test_every_environment_tosses_its_own_coin_at_every_step():
    set_seed(0)
    agent = make_agent(actions=50, epsilon_start=0.3, epsilon_end=0.3)
    greedy = agent.net(torch.eye(2)[:1]).argmax().item()
    actions = np.stack([agent.step(torch.eye(2)[:1].expand(100, 2)) for _ in range(100)])
    explored = actions != greedy
    assert explored.mean() == pytest.approx(0.3 * 49 / 50, abs=0.015)  # 3 standard deviations
    assert explored.mean(0).std() == pytest.approx(np.sqrt(0.3 * 0.7 / 100), rel=0.3)
    assert explored.mean(1).std() == pytest.approx(np.sqrt(0.3 * 0.7 / 100), rel=0.3)


def test_epsilon_falls_with_env_steps_and_not_in_testing():
    agent = make_agent(epsilon_start=1.0, epsilon_end=0.2, epsilon_steps=100)
    agent.update(two_states(10, 5))
    assert agent.epsilon == pytest.approx(0.6)
    agent.set_test()
    states = torch.eye(2).repeat(500, 1)
    assert np.array_equal(agent.step(states), agent.net(states).argmax(1).numpy())
    assert agent.epsilon == pytest.approx(0.6)


def test_random_actions_are_held_as_long_as_the_zeta_distribution_says():
    set_seed(0)
    agent = make_agent(actions=1000, epsilon_start=1.0, epsilon_end=1.0, repeat_exponent=2.0)
    states = torch.eye(2)[:1].expand(200, 2)
    actions = np.stack([agent.step(states) for _ in range(300)])
    lengths = []
    for column in actions.T:
        ends = np.flatnonzero(np.diff(column)) + 1
        lengths += np.diff(ends).tolist()  # without the first and the last, which are cut
    lengths = np.array(lengths)
    assert (lengths == 1).mean() == pytest.approx(6 / np.pi**2, abs=0.02)  # 1 / zeta(2)
    assert (lengths == 2).mean() == pytest.approx(6 / np.pi**2 / 4, abs=0.02)


def test_what_is_held_ends_with_the_episode():
    agent = make_agent(epsilon_start=1.0, epsilon_end=1.0, repeat_exponent=1.01)
    agent.step(torch.eye(2))
    agent._remaining[:] = 100
    dones = torch.tensor([[False, True]])
    agent.update(two_states(1, 2).replace(dones=dones, terminated=dones))
    assert agent._remaining.tolist() == [100, 0]


def test_a_test_in_between_does_not_disturb_what_is_being_held():
    agent = make_agent(epsilon_start=1.0, epsilon_end=1.0, repeat_exponent=1.01)
    agent.step(torch.eye(2))
    held, remaining = agent._held.copy(), agent._remaining.copy()
    with agent.test_mode():
        agent.reset()
        agent.step(torch.eye(2).repeat(5, 1))
    assert np.array_equal(agent._held, held)
    assert np.array_equal(agent._remaining, remaining)
    agent.reset()
    assert len(agent._remaining) == 0


def test_n_step_targets_lead_to_the_same_values():
    """Of a policy that acts as the optimal one does after the first step; here, one whose actions are all alike."""
    set_seed(0)
    agent = make_agent(actions=1, n_step=3, tau=0.05, replay_ratio=1.0, max_grad_norm=None)
    for i in range(40):  # a cycle of two states, rewards 1 and 0, which never ends
        state = (torch.arange(25) + i * 25)[:, None].expand(25, 4) % 2
        never = torch.zeros(25, 4, dtype=torch.bool)
        agent.update(Batch(one_hot(state), 0 * state, 1.0 - state, never, never, one_hot(1 - state)))
    q = agent.net(torch.eye(2)).flatten().tolist()
    assert q == pytest.approx([1 / (1 - GAMMA**2), GAMMA / (1 - GAMMA**2)], abs=1e-2)


def test_n_step_is_what_is_sampled(monkeypatch):
    asked = []
    agent = make_agent(n_step=4)
    original = agent.replay_memory.sample
    monkeypatch.setattr(agent.replay_memory, "sample", lambda *a: asked.append(a) or original(*a))
    agent.update(two_states(40, 1))
    assert set(asked) == {(32, GAMMA, 4, None)}


def test_the_gradient_is_clipped():
    steps = []
    for max_grad_norm in (1e-3, None):
        set_seed(0)
        agent = make_agent(max_grad_norm=max_grad_norm, replay_ratio=1 / 32)
        agent.update(two_states(32, 1))
        steps.append(torch.cat([p.grad.flatten() for p in agent.net.parameters()]).norm().item())
    assert steps[0] == pytest.approx(1e-3, rel=1e-4)
    assert steps[1] > 0.1


def test_no_transition_goes_across_a_reset_or_a_resume():
    """Rewards of different episodes are never summed, though the memory saw no end between them."""
    never = torch.zeros(1, 1, dtype=torch.bool)

    def step(reward):
        return Batch(
            torch.eye(2)[None, :1],
            torch.zeros(1, 1).long(),
            torch.full((1, 1), reward),
            never,
            never,
            torch.eye(2)[None, 1:],
        )

    for reset in (lambda agent: agent.reset(), lambda agent: agent.load_state_dict(agent.state_dict())):
        agent = make_agent(n_step=2, gamma=1.0, learning_starts=10**6)
        agent.update(step(1.0))
        reset(agent)
        agent.update(step(10.0))
        agent.update(step(10.0))
        assert set(agent.replay_memory.sample(200, 1.0, 2).rewards.tolist()) == {1.0, 20.0}


def test_moving_to_where_it_is_leaves_the_memory_alone():
    """An algorithm moves its agent when it is made, also one that has learnt before."""
    agent = make_agent(n_step=2, learning_starts=10**6)
    agent.update(two_states(4, 2).replace(dones=torch.zeros(4, 2, dtype=torch.bool)))
    states = agent.replay_memory._data["states"]
    agent.to_cpu()
    assert agent.replay_memory._data["states"] is states
    assert not agent.replay_memory._data["dones"][:4].any()


@pytest.mark.parametrize("n_step", [1, 3])
def test_going_on_from_its_state_is_the_same_bit_for_bit(n_step):
    set_seed(0)
    saved, first, second = (make_agent(n_step=n_step) for _ in range(3))
    learn(saved, 3)
    if n_step == 1:
        first = saved
    else:  # what was added last has lost its successor, so that only those that were loaded are alike
        first.load_state_dict(saved.state_dict())
    second.load_state_dict(saved.state_dict())
    results = []
    for agent in (first, second):
        set_seed(1)
        for i in range(3):
            metrics = agent.update(two_states(10, 4, seed=50 + i))
        results.append((metrics, agent.net.layers[0].weight, agent.target_net.layers[0].weight))
    assert results[0][0] == results[1][0]
    assert torch.equal(results[0][1], results[1][1])
    assert torch.equal(results[0][2], results[1][2])


def test_what_does_not_fit_is_named():
    net = Net1D((2,), 2, action_type="discrete")
    for arguments, match in (
        ({"net": Net1D((2,), 2, action_type="continuous")}, "gives means of continuous.*DiscretizeAction"),
        ({"net": Net1D((2,), 2)}, "gives plain values"),
        ({"net": net, "target_net": net}, "target_net is the same object as net"),
        ({"net": net, "num_actions": 3}, "num_actions is 3, but the network has 2 outputs"),
        ({"net": net, "batch_size": 64, "replay_memory_size": 50}, "a batch of 64 doesn't fit a replay memory of 50"),
        ({"net": net, "epsilon_end": 1.5}, "epsilon must fall within 0..1, got 1.0 to 1.5"),
        ({"net": net, "n_step": 0}, "n_step must be at least 1, got 0"),
        ({"net": net, "repeat_exponent": 1.0}, "repeat_exponent must be above 1"),
        ({"net": net, "replay_ratio": 0}, "replay_ratio must be above 0, got 0"),
        ({"net": net, "epsilon_steps": 0}, "epsilon_steps must be above 0, got 0"),
        ({"net": net, "target_net": copy.copy(net)}, "target_net shares weights with net"),
        ({"net": net, "target_net": Net1D((3,), 2)}, "target_net must be built as net is"),
    ):
        with pytest.raises(ValueError, match=match):
            DQNAgent(**arguments)
    with pytest.raises(ValueError, match="made for 3 environments, got 4"):
        make_agent(num_envs=3).update(two_states(1, 4))
    with pytest.raises(ValueError, match="32 transitions holds 2 steps of 16 environments, fewer than n_step 5"):
        make_agent(replay_memory_size=32, n_step=5).update(two_states(1, 16))
