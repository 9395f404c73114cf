"""A2C, by number."""

import math

import pytest
import torch

from ilpyt.agents import A2CAgent
from ilpyt.nets import Net1D
from ilpyt.runners import Batch
from ilpyt.utils.seed_utils import set_seed


def bandit(agent, rewards, num_envs):
    """One step of as many bandits, whose arms pay `rewards`; the only state is 1, and it ends there."""
    states = torch.ones(1, num_envs, 1)
    actions = agent.actor.get_action(states[0])[1][None]
    ends = torch.ones(1, num_envs, dtype=torch.bool)
    return Batch(states, actions, torch.tensor(rewards)[actions], ends, ends, states)


def linear_agent(num_actions, **kwargs):
    actor, critic = Net1D((1,), num_actions, action_type="discrete", hidden_sizes=()), Net1D((1,), 1, hidden_sizes=())
    for net in (actor, critic):
        for p in net.parameters():
            p.data.zero_()
    return A2CAgent(actor, critic, **{"max_grad_norm": None, **kwargs})


@pytest.mark.parametrize("entropy_coeff", [0.0, 0.3])
def test_the_gradient_on_a_bandit_is_the_analytic_one(entropy_coeff):
    """d/dz_k of E[r] under softmax(z) is p_k (r_k - E[r]), and of the entropy -p_k (log p_k + H).

    The critic is right (its value is E[r]), so nothing but the sampling of arms is left to chance: the batch has each
    arm as often as the policy says.
    """
    logits, rewards = torch.tensor([0.5, -0.3, 0.0]), torch.tensor([1.0, 2.0, -1.0])
    agent = linear_agent(3, entropy_coeff=entropy_coeff, value_coeff=0.0)
    agent.actor.layers[0].bias.data.copy_(logits)
    p = logits.softmax(0)
    agent.critic.layers[0].bias.data.fill_((p * rewards).sum())
    counts = (p * 100_000).round().long()
    actions = torch.repeat_interleave(torch.arange(3), counts)[None]
    n = actions.shape[1]
    ends = torch.ones(1, n, dtype=torch.bool)
    batch = Batch(torch.ones(1, n, 1), actions, rewards[actions], ends, ends, torch.ones(1, n, 1))
    agent.update(batch)
    entropy = -(p * p.log()).sum()
    expected = -p * (rewards - (p * rewards).sum()) + entropy_coeff * p * (p.log() + entropy)
    torch.testing.assert_close(agent.actor.layers[0].bias.grad, expected, atol=1e-4, rtol=0)


def test_a_bandit_is_solved_and_its_value_learnt():
    set_seed(0)
    agent = linear_agent(3, lr=0.05)
    for _ in range(300):
        metrics = agent.update(bandit(agent, [0.0, 1.0, 0.5], 16))
    assert agent.actor(torch.ones(1, 1)).softmax(1)[0, 1] > 0.95
    assert agent.critic(torch.ones(1, 1)).item() == pytest.approx(1, abs=0.05)
    assert metrics["value/mean"] == pytest.approx(1, abs=0.05)


def test_targets_carry_no_gradient():
    """With the critic's loss off, nothing reaches the critic, though advantages are made of its values."""
    agent = linear_agent(2, value_coeff=0.0)
    agent.update(bandit(agent, [1.0, 2.0], 8))
    assert agent.actor.layers[0].bias.grad.abs().sum() > 0
    assert agent.critic.layers[0].bias.grad.abs().sum() == 0


def test_the_critics_gradient_is_that_of_the_squared_error():
    agent = linear_agent(2, value_coeff=1.0)
    agent.critic.layers[0].bias.data.fill_(0.5)
    agent.update(bandit(agent, [2.0, 2.0], 8))
    assert agent.critic.layers[0].bias.grad.item() == pytest.approx(2 * (0.5 - 2.0))


def test_advantages_are_normalised_if_asked():
    """The gradient no longer depends on the rewards' scale."""
    gradients = []
    for scale in (1.0, 100.0):
        set_seed(0)
        agent = linear_agent(3, normalize_advantages=True, reward_scale=scale)
        agent.update(bandit(agent, [0.0, 1.0, 0.5], 64))
        gradients.append(agent.actor.layers[0].bias.grad.clone())
    torch.testing.assert_close(*gradients, atol=1e-5, rtol=1e-4)


def test_rewards_are_scaled_before_they_are_learnt_from():
    agent = linear_agent(2, reward_scale=0.1)
    assert agent.update(bandit(agent, [30.0, 30.0], 8))["value/loss"] == pytest.approx(9)  # (30 * 0.1)^2


def test_a_perfect_critic_explains_all_variance_and_a_constant_one_none():
    agent = linear_agent(2)
    agent.critic = Net1D((1,), 1, hidden_sizes=())
    agent.critic.layers[0].weight.data.fill_(1)
    agent.critic.layers[0].bias.data.zero_()
    states = torch.randn(1, 50, 1)
    ends = torch.ones(1, 50, dtype=torch.bool)
    batch = Batch(states, torch.zeros(1, 50, dtype=torch.int64), states[..., 0], ends, ends, states)
    assert agent.learn(batch)["value/explained_variance"] == pytest.approx(1, abs=1e-5)
    agent.critic.layers[0].weight.data.fill_(0)
    assert agent.learn(batch)["value/explained_variance"] == pytest.approx(0, abs=1e-3)


def test_a_single_transition_can_be_learnt_from():
    metrics = linear_agent(2).update(bandit(linear_agent(2), [1.0, 2.0], 1))
    assert math.isnan(metrics["value/explained_variance"])
    assert not math.isnan(metrics["policy/loss"])
