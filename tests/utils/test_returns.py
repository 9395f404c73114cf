"""Returns and advantages, against references that go step by step."""

import pytest
import torch

from ilpyt.utils.returns import generalized_advantages, n_step_returns

GAMMA, LAMBDA = 0.9, 0.7


@pytest.fixture
def rollout():
    generator = torch.Generator().manual_seed(0)

    def draw():
        return torch.randn(40, 5, generator=generator)

    dones = torch.rand(40, 5, generator=generator) < 0.2
    terminated = dones & (torch.rand(40, 5, generator=generator) < 0.5)
    assert terminated.any()
    assert (dones & ~terminated).any()
    return {"rewards": draw(), "values": draw(), "next_values": draw(), "dones": dones, "terminated": terminated}


def slow_return(r, t, i):
    """Follow environment i from step t, adding up, until the episode or the rollout ends."""
    total, discount = 0.0, 1.0
    while True:
        total += discount * r["rewards"][t, i].item()
        discount *= GAMMA
        if r["terminated"][t, i]:
            return total
        if r["dones"][t, i] or t == len(r["rewards"]) - 1:
            return total + discount * r["next_values"][t, i].item()
        t += 1


def slow_advantage(r, t, i):
    """The sum of TD residuals as in Schulman et al. 2016, eq. 16, over the steps that are left of the episode."""
    total, weight = 0.0, 1.0
    while True:
        successor = 0.0 if r["terminated"][t, i] else r["next_values"][t, i].item()
        total += weight * (r["rewards"][t, i].item() + GAMMA * successor - r["values"][t, i].item())
        weight *= GAMMA * LAMBDA
        if r["dones"][t, i] or t == len(r["rewards"]) - 1:
            return total
        t += 1


def table(function, r):
    return torch.tensor([[function(r, t, i) for i in range(5)] for t in range(40)])


def test_n_step_returns_equal_a_step_by_step_reference(rollout):
    fast = n_step_returns(*(rollout[k] for k in ("rewards", "next_values", "dones", "terminated")), GAMMA)
    torch.testing.assert_close(fast, table(slow_return, rollout), atol=1e-5, rtol=1e-5)


def test_gae_equals_a_step_by_step_reference(rollout):
    fast = generalized_advantages(**rollout, gamma=GAMMA, gae_lambda=LAMBDA)
    torch.testing.assert_close(fast, table(slow_advantage, rollout), atol=1e-5, rtol=1e-5)


def test_gae_with_lambda_1_is_the_n_step_return_less_the_value(rollout):
    # V(s_{t+1}) must be the same number whether it comes as a next value or as the value of the next step.
    values, dones = rollout["values"], rollout["dones"]
    rollout["next_values"][:-1] = torch.where(dones[:-1], rollout["next_values"][:-1], values[1:])
    returns = n_step_returns(*(rollout[k] for k in ("rewards", "next_values", "dones", "terminated")), GAMMA)
    advantages = generalized_advantages(**rollout, gamma=GAMMA, gae_lambda=1.0)
    torch.testing.assert_close(advantages, returns - values, atol=1e-5, rtol=1e-5)


def test_a_cut_off_episode_bootstraps_and_a_terminated_one_does_not():
    rewards, next_values, dones = torch.ones(1, 2), torch.full((1, 2), 10.0), torch.ones(1, 2, dtype=torch.bool)
    terminated = torch.tensor([[True, False]])
    assert n_step_returns(rewards, next_values, dones, terminated, 0.5).tolist() == [[1.0, 6.0]]
    advantages = generalized_advantages(rewards, torch.zeros(1, 2), next_values, dones, terminated, 0.5, 0.9)
    assert advantages.tolist() == [[1.0, 6.0]]
