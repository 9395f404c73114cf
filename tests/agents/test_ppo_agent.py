"""PPO, by number."""

import pytest
import torch

from ilpyt.agents import PPOAgent
from ilpyt.agents.ppo_agent import clipped_value_loss, kl_divergence, ppo_policy_loss
from ilpyt.nets import Net1D
from ilpyt.runners import Batch
from ilpyt.utils.schedules import Linear
from ilpyt.utils.seed_utils import set_seed


def rollout(agent, steps=16, num_envs=4, size=3):
    """A rollout of the agent's own in an environment of noise."""
    states = torch.randn(steps, num_envs, size)
    with torch.no_grad():
        actions = agent.actor.get_action(states.flatten(0, 1))[1]
    actions = actions.view(steps, num_envs, *actions.shape[1:])
    dones = torch.rand(steps, num_envs) < 0.1
    return Batch(states, actions, torch.randn(steps, num_envs), dones, dones, torch.randn(steps, num_envs, size))


def make_agent(action_type="discrete", **kwargs):
    actor = Net1D((3,), 2, action_type=action_type, normalize=True)
    return PPOAgent(actor, Net1D((3,), 1, normalize=True), **{"num_epochs": 2, "batch_size": 16, **kwargs})


def test_the_surrogate_is_the_papers_equation():
    # r = 1.5, 0.5, 1.1, 0.9 with clip 0.2: the smaller of r A and clip(r, 0.8, 1.2) A
    ratio, advantages = torch.tensor([1.5, 0.5, 1.1, 0.9]), torch.tensor([2.0, -1.0, -3.0, 4.0])
    expected = -(1.2 * 2 + 0.8 * -1 + 1.1 * -3 + 0.9 * 4) / 4
    old = torch.randn(4)
    assert ppo_policy_loss(ratio.log() + old, old, advantages, 0.2).item() == pytest.approx(expected)


def test_the_gradient_is_zero_exactly_where_clipping_acts():
    ratio = torch.tensor([1.5, 0.5, 1.5, 0.5, 1.1, 0.9])
    advantages = torch.tensor([1.0, -1.0, -1.0, 1.0, 1.0, -1.0])
    log_probs = ratio.log().requires_grad_()
    ppo_policy_loss(log_probs, torch.zeros(6), advantages, 0.2).backward()
    # Elsewhere it is -A r / B: a clipped ratio counts only while it makes the objective worse.
    torch.testing.assert_close(log_probs.grad, torch.tensor([0, 0, 1.5, -0.5, -1.1, 0.9]) / 6)


def test_the_value_loss_counts_the_worse_of_clipped_and_unclipped():
    values, old, returns = torch.tensor([3.0, 0.05, 1.0]), torch.zeros(3), torch.tensor([2.0, 1.0, 0.0])
    # clipped to 0.1, 0.05, 0.1: errors 1 and 1.9, 0.95 and 0.95, 1 and -0.1
    expected = (1.9**2 + 0.95**2 + 1**2) / 3
    assert clipped_value_loss(values, old, returns, 0.1).item() == pytest.approx(expected)


def test_the_kl_estimate_is_the_divergence_of_two_categoricals():
    set_seed(0)
    old, new = torch.tensor([0.5, 0.3, 0.2]), torch.tensor([0.4, 0.4, 0.2])
    actions = torch.multinomial(old, 400_000, replacement=True)
    estimate = kl_divergence(new.log()[actions], old.log()[actions])
    assert estimate.item() == pytest.approx((old * (old / new).log()).sum().item(), rel=0.01)
    assert kl_divergence(old.log(), old.log()).item() == 0


@pytest.mark.parametrize("action_type", ["discrete", "continuous"])
def test_the_ratio_is_1_in_the_first_minibatch_and_not_in_the_last(action_type, monkeypatch):
    set_seed(0)
    agent = make_agent(action_type, lr=1e-2)
    ratios = []
    original = agent.loss

    def spy(minibatch, clip_ratio):
        with torch.no_grad():
            now = agent.actor.get_distribution(minibatch.states).log_prob(minibatch.actions)
        ratios.append((now - minibatch.log_probs).exp())
        return original(minibatch, clip_ratio)

    monkeypatch.setattr(agent, "loss", spy)
    agent.update(rollout(agent))
    assert len(ratios) == 2 * 4  # epochs x minibatches
    torch.testing.assert_close(ratios[0], torch.ones(16), atol=1e-6, rtol=0)
    assert (ratios[-1] - 1).abs().max() > 0.01


def test_an_epoch_sees_every_transition_once():
    agent = make_agent()
    samples = agent.collect(rollout(agent, steps=5, num_envs=5))
    minibatches = list(samples.minibatches(10))
    assert [len(m.states) for m in minibatches] == [10, 10, 5]
    for field in range(len(samples)):
        seen = torch.cat([m[field] for m in minibatches]).flatten(1) if samples[field].dim() > 1 else None
        if seen is not None:
            assert torch.equal(seen.sort(0)[0], samples[field].flatten(1).sort(0)[0])
    paired = dict(zip(samples.states[:, 0].tolist(), samples.returns.tolist(), strict=True))
    for m in minibatches:
        assert [paired[s] for s in m.states[:, 0].tolist()] == m.returns.tolist()


def test_returns_are_advantages_plus_values_and_only_the_former_are_normalised():
    agent = make_agent(gae_lambda=0.9)
    batch = rollout(agent)
    samples = agent.collect(batch)
    agent.normalize_advantages = False
    raw = agent.collect(batch)
    torch.testing.assert_close(raw.returns, raw.advantages + raw.values)
    assert torch.equal(samples.returns, raw.returns)
    assert samples.advantages.mean().abs() < 1e-6
    assert samples.advantages.std().item() == pytest.approx(1, abs=1e-4)


def test_the_kl_stop_ends_the_epochs():
    set_seed(0)
    for target_kl, epochs in ((None, 8), (1e9, 8), (1e-6, 1)):
        agent = make_agent(num_epochs=8, lr=1e-2, target_kl=target_kl)
        metrics = agent.update(rollout(agent))
        assert metrics["policy/epochs"] == epochs
    assert metrics["policy/kl"] > 1e-6


def test_schedules_set_learning_rate_and_clip_ratio():
    agent = make_agent(lr=Linear(1e-2, 0, 640), clip_ratio=Linear(0.4, 0.2, 128))
    seen = [agent.update(rollout(agent)) for _ in range(3)]
    assert [m["lr"] for m in seen] == pytest.approx([1e-2, 9e-3, 8e-3])
    assert agent.optimizers["actor-critic"].param_groups[0]["lr"] == pytest.approx(8e-3)
    assert [m["policy/clip_ratio"] for m in seen] == pytest.approx([0.4, 0.3, 0.2])


def test_entropy_is_raised_by_its_coefficient():
    set_seed(0)
    agent = make_agent(entropy_coeff=1.0, lr=1e-2, num_epochs=20)
    with torch.no_grad():
        agent.actor.layers[-1].bias += torch.tensor([2.0, 0.0])
    batch = rollout(agent)
    before, after = (agent.update(batch)["policy/entropy"] for _ in range(2))
    assert before < after < 0.6932  # ln 2


def test_advantages_bootstrap_from_true_successors_unless_terminated():
    agent = make_agent(gamma=0.9, gae_lambda=0.8)
    batch = rollout(agent, steps=30)
    batch = batch.replace(terminated=batch.dones & (torch.rand(30, 4) < 0.5))
    assert (batch.dones & ~batch.terminated).any()
    values = agent.value(batch.states.flatten(0, 1)).view(30, 4).detach()
    next_values = agent.value(batch.next_states.flatten(0, 1)).view(30, 4).detach()
    expected, following = torch.zeros(30, 4), torch.zeros(4)
    for t in reversed(range(30)):
        residual = batch.rewards[t] + 0.9 * next_values[t] * (1 - batch.terminated[t].float()) - values[t]
        following = residual + 0.9 * 0.8 * (1 - batch.dones[t].float()) * following
        expected[t] = following
    torch.testing.assert_close(agent.advantages(batch, values), expected, atol=1e-5, rtol=1e-5)


def test_values_are_clipped_if_asked():
    """Where the critic has moved further than the clip allows, towards the return, its gradient is zero."""
    for clip_values, is_zero in ((1e-3, True), (None, False)):
        agent = make_agent(clip_values=clip_values, value_coeff=1.0)
        samples = agent.collect(rollout(agent))
        samples = samples._replace(values=samples.values - 1, returns=samples.values + 1)
        agent.critic.zero_grad()
        agent.loss(samples, 0.2).backward()
        assert (sum(p.grad.abs().sum().item() for p in agent.critic.parameters()) == 0) == is_zero


def test_the_normaliser_takes_in_a_rollout_after_it_was_learnt_from(monkeypatch):
    """Old log-probabilities are those of the policy that acted, so it must see states as it did then."""
    set_seed(0)
    agent = make_agent("continuous")
    agent.update(rollout(agent))
    acted = []
    original = agent.collect
    monkeypatch.setattr(agent, "collect", lambda batch: acted.append(original(batch).log_probs) or original(batch))
    for _ in range(3):
        batch = rollout(agent)
        batch = batch.replace(states=batch.states * 3 + 1)
        with torch.no_grad():
            then = agent.actor.get_distribution(batch.flatten().states).log_prob(batch.flatten().actions)
        agent.update(batch)
        assert torch.equal(acted[-1], then)
    assert agent.actor.normalizer.count == 4 * 64


def test_the_first_rollout_is_normalised_by_itself():
    """Otherwise what is learnt on raw states is upset as soon as they are normalised (MountainCar was never solved)."""
    agent = make_agent()
    batch = rollout(agent)
    batch = batch.replace(states=batch.states * 0.01 + 5)
    seen = []
    agent.learn = lambda b: seen.append(agent.actor.normalizer(b.states)) or {}
    agent.update(batch)
    torch.testing.assert_close(seen[0].flatten(0, 1).mean(0), torch.zeros(3), atol=1e-3, rtol=0)
    torch.testing.assert_close(seen[0].flatten(0, 1).std(0), torch.ones(3), atol=0.05, rtol=0)
    assert agent.actor.normalizer.count == 64


def test_images_and_long_rollouts_are_valued_in_chunks(monkeypatch):
    agent = make_agent()
    states = torch.randn(10_000, 3)
    sizes = []
    agent.critic.register_forward_hook(lambda module, args, output: sizes.append(len(args[0])))
    with torch.no_grad():
        values = agent.value(states)
    assert sizes == [4096, 4096, 1808]
    torch.testing.assert_close(values, agent.value(states).detach())


def test_a_bad_hyper_parameter_is_named():
    for kwargs, match in (
        ({"batch_size": 0}, "batch_size must be at least 1, got 0"),
        ({"num_epochs": 0}, "num_epochs must be at least 1, got 0"),
        ({"gamma": 1.2}, "gamma must be in 0..1, got 1.2"),
        ({"gae_lambda": -0.1}, "gae_lambda must be in 0..1, got -0.1"),
        ({"target_kl": 0.0}, "target_kl must be above 0, or None, got 0.0"),
    ):
        with pytest.raises(ValueError, match=match):
            make_agent(**kwargs)


def test_nets_that_are_no_actor_and_critic_are_refused():
    policy, values = Net1D((3,), 2, action_type="discrete"), Net1D((3,), 2)
    with pytest.raises(ValueError, match=r"critic has 2 outputs; make it with choose_net\(env, output_shape=1\)"):
        PPOAgent(policy, values)
    with pytest.raises(ValueError, match="critic is a policy"):
        PPOAgent(policy, Net1D((3,), 1, action_type="continuous"))
    with pytest.raises(ValueError, match=r"actor gives values, not actions; make it with choose_net\(env\)"):
        PPOAgent(values, Net1D((3,), 1))
