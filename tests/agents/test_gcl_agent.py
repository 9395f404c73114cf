"""Guided cost learning against an MDP whose trajectories can all be enumerated."""

import itertools
import math

import pytest
import torch

from ilpyt.agents import A2CAgent, DQNAgent, GCLAgent, PPOAgent
from ilpyt.agents.gcl_agent import (
    Trajectories,
    fused_log_density,
    guided_cost_loss,
    local_constant_rate,
    monotonic,
    trajectories,
)
from ilpyt.nets import Net1D
from ilpyt.runners import Batch

HORIZON, STATES, ACTIONS = 4, 3, 2


def walk(actions):
    """States before each action on a ring of three: action 1 goes round, action 0 stays."""
    state, seen = 0, []
    for action in actions:
        seen.append(state)
        state = (state + action) % STATES
    return seen


ALL = [(walk(actions), actions) for actions in itertools.product(range(ACTIONS), repeat=HORIZON)]


def counts():
    """How often each of the 16 trajectories visits each (state, action), [16, 6]."""
    visits = torch.zeros(len(ALL), STATES, ACTIONS, dtype=torch.float64)
    for row, (states, actions) in enumerate(ALL):
        for state, action in zip(states, actions, strict=True):
            visits[row, state, action] += 1
    return visits.flatten(1)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def exact_loss(costs, expert):
    """Mean cost of the expert's trajectory distribution [16], plus log Z."""
    totals = counts() @ costs
    return expert @ totals + torch.logsumexp(-totals, 0)


def test_with_all_trajectories_as_samples_the_gradient_is_the_exact_one():
    costs = torch.randn(6, dtype=torch.float64, requires_grad=True)
    totals = counts() @ costs
    shown = [3, 3, 7, 12]
    expert = torch.zeros(16, dtype=torch.float64)
    for row in shown:
        expert[row] += 1 / len(shown)
    uniform = torch.full((16,), -math.log(16), dtype=torch.float64)
    sampled = guided_cost_loss(totals[shown], totals, uniform)
    (gradient,) = torch.autograd.grad(sampled, costs, retain_graph=True)
    (exact,) = torch.autograd.grad(exact_loss(costs, expert), costs)
    torch.testing.assert_close(gradient, exact)
    torch.testing.assert_close(sampled, exact_loss(costs, expert))


def test_samples_of_any_mixture_of_policies_give_the_exact_gradient_on_average():
    """Two lopsided policies; without importance weights, or with one policy's, the gradient is another."""
    costs = torch.randn(6, dtype=torch.float64, requires_grad=True)
    expert = torch.full((16,), 1 / 16, dtype=torch.float64)
    (exact,) = torch.autograd.grad(exact_loss(costs, expert), costs)
    logits = torch.tensor([[1.5, -0.5], [0.6, -0.3]], dtype=torch.float64)  # of two policies that ignore the state
    log_q = torch.stack(
        [torch.stack([torch.log_softmax(policy, 0)[list(actions)].sum() for _, actions in ALL]) for policy in logits], 1
    )
    shares = torch.tensor([0.7, 0.3], dtype=torch.float64)
    mixture = log_q.exp() @ shares
    chosen = torch.multinomial(mixture, 200_000, replacement=True)

    def gradient(log_densities):
        totals = counts() @ costs
        loss = guided_cost_loss(totals @ expert[:, None], totals[chosen], log_densities)
        return torch.autograd.grad(loss, costs)[0]

    assert (gradient(fused_log_density(log_q, shares)[chosen]) - exact).abs().max() < 0.02
    assert (gradient(log_q[chosen, 0]) - exact).abs().max() > 0.1
    assert (gradient(torch.zeros(len(chosen), dtype=torch.float64)) - exact).abs().max() > 0.1


def test_densities_matter_up_to_a_constant_only_however_small_they_are():
    demo, sample = torch.randn(3), torch.randn(5, requires_grad=True)
    log_q = torch.randn(5)

    def gradient(shift):
        return torch.autograd.grad(guided_cost_loss(demo, sample, log_q + shift), sample)[0]

    torch.testing.assert_close(gradient(0.0), gradient(-5000.0), atol=1e-3, rtol=1e-3)
    assert torch.isfinite(guided_cost_loss(demo, sample * 1e4, log_q - 1e4))


def test_the_fused_density_is_the_policies_mean():
    log_q, equal = torch.randn(4, 3, dtype=torch.float64), torch.full((3,), 1 / 3, dtype=torch.float64)
    torch.testing.assert_close(fused_log_density(log_q, equal).exp(), log_q.exp().mean(1))
    assert torch.isfinite(fused_log_density(log_q - 1e5, equal)).all()


def test_regularisers_go_along_each_trajectory_to_its_last_step():
    costs, episodes = torch.tensor([1.0, 4.0, 2.0, 9.0, 9.0, 12.0]), torch.tensor([0, 0, 0, 1, 1, 1])
    assert local_constant_rate(costs, episodes) == (-2 - 3) ** 2 + (3 - 0) ** 2
    assert monotonic(costs, episodes) == (3 - 1) ** 2 + (3 - 1) ** 2
    short = torch.tensor([0, 1, 1, 2, 2, 3])  # nothing but ends
    assert local_constant_rate(costs, short) == 0
    assert monotonic(costs, short) == 0


def test_trajectories_are_cut_summed_and_chosen_by_episode():
    states, actions = torch.arange(6.0)[:, None], torch.tensor([0, 1, 0, 1, 0, 1])
    dones = torch.tensor([False, True, False, False, True, False])  # the last is unfinished
    whole = trajectories(states, actions, dones)
    assert whole.lengths.tolist() == [2, 3, 1]
    assert whole.total(states[:, 0]).tolist() == [1.0, 9.0, 5.0]
    chosen = whole.take(torch.tensor([1, 0, 1]))
    assert chosen.states[:, 0].tolist() == [2, 3, 4, 0, 1, 2, 3, 4]
    assert chosen.actions.tolist() == [0, 1, 0, 0, 1, 0, 1, 0]
    assert chosen.total(chosen.states[:, 0]).tolist() == [9.0, 1.0, 9.0]
    joined = Trajectories.join(whole, chosen)
    assert joined.lengths.tolist() == [2, 3, 1, 3, 2, 3]


def test_log_densities_are_sums_over_whole_trajectories():
    policy = Net1D((1,), 2, action_type="discrete")
    whole = trajectories(torch.randn(6, 1), torch.tensor([0, 1, 0, 1, 0, 1]), torch.tensor([0, 0, 1, 0, 0, 1]).bool())
    seen = whole.seen_by(policy)
    each = policy.get_distribution(whole.states).log_prob(whole.actions)
    torch.testing.assert_close(seen.log_densities, torch.stack([each[:3].sum(), each[3:].sum()])[:, None])
    assert seen.seen_by(policy).log_densities.shape == (2, 2)


class Cost(Net1D):
    """A number for each (state, action)."""

    def initialize(self):
        super().initialize((STATES,), 1, hidden_sizes=())
        self.takes_actions = True
        self.table = torch.nn.Parameter(torch.zeros(STATES, ACTIONS))

    def encode(self, x, a=None):
        return [x, a]

    def decode(self, inputs):
        x, a = inputs
        return self.table[x.argmax(1), a][:, None]


def played(rows):
    """Trajectories of the ring as one batch [M, 1, ...]."""
    states = torch.eye(STATES)[torch.tensor([s for row in rows for s in ALL[row][0]])]
    actions = torch.tensor([a for row in rows for a in ALL[row][1]])
    dones = torch.zeros(len(actions), dtype=torch.bool)
    dones[HORIZON - 1 :: HORIZON] = True
    return Batch(
        states=states[:, None],
        actions=actions[:, None],
        rewards=torch.zeros(len(actions), 1),
        dones=dones[:, None],
        terminated=dones[:, None],
        next_states=states[:, None],
    )


def likelihoods(policy):
    """Of each of the 16 trajectories under a policy, float64 [16]."""
    log_probs = torch.log_softmax(policy(torch.eye(STATES)).double(), 1)
    return torch.stack([log_probs[list(states), list(actions)].sum() for states, actions in ALL]).exp()


def make_agent(**kwargs):
    kwargs = {"lr": 0.02, "lcr_reg_cost": 0.0, "mono_reg_cost": 0.0, **kwargs}
    actor = A2CAgent(Net1D((STATES,), ACTIONS, action_type="discrete"), Net1D((STATES,), 1), lr=0.0)
    return GCLAgent(actor, Cost(), **kwargs)


def test_the_recovered_occupancy_is_the_experts():
    """The whole agent on the ring, with a learner that stays random: exp(-c) visits what the expert visits."""
    agent = make_agent()
    expert = Net1D((STATES,), ACTIONS, action_type="discrete", hidden_sizes=())
    with torch.no_grad():
        expert.layers[0].weight.copy_(torch.tensor([[0.0, 1.5], [1.0, -0.5], [0.3, 0.0]]).T)
        expert.layers[0].bias.zero_()
        p, learner = likelihoods(expert), likelihoods(agent.actor.actor)
    demos = played(torch.multinomial(p, 3000, replacement=True).tolist()).flatten()
    agent.demonstrate(trajectories(demos.states, demos.actions, demos.dones), expert)
    for k in range(40):
        agent.optimizers["cost"].param_groups[0]["lr"] = 0.05 * (1 - k / 40)
        agent.update(played(torch.multinomial(learner, 200, replacement=True).tolist()), 10, 400)
    model = torch.softmax(-(counts() @ agent.cost.table.detach().double().flatten()), 0)
    shown = torch.zeros(STATES, ACTIONS, dtype=torch.float64)
    ones = torch.ones(len(demos), dtype=torch.float64)
    shown.index_put_((demos.states.argmax(1), demos.actions), ones, accumulate=True)
    occupancy, expected = model @ counts() / HORIZON, shown.flatten() / len(demos)
    assert (occupancy - expected).abs().max() < 1e-2
    assert (learner @ counts() / HORIZON - expected).abs().max() > 0.05


def test_the_learner_is_rewarded_with_minus_the_cost_after_its_update():
    agent = make_agent(lr=0.1)
    seen = []
    original = agent.actor.learn
    agent.actor.learn = lambda batch: seen.append(batch.rewards) or original(batch)
    demos = played([5, 6]).flatten()
    agent.demonstrate(trajectories(demos.states, demos.actions, demos.dones), agent.actor.actor)
    batch = played([0, 1, 15])
    metrics = agent.update(batch, 3, 4)
    costs = agent.cost.table.detach()[batch.states[:, 0].argmax(1), batch.actions[:, 0]]
    torch.testing.assert_close(seen[0][:, 0], -costs)
    assert costs.abs().max() > 0.05
    assert metrics["learned_reward/mean"] == pytest.approx(-costs.mean().item())


def test_the_environments_rewards_change_nothing():
    def weights(reward):
        torch.manual_seed(0)
        agent = make_agent()
        demos = played([5, 6]).flatten()
        agent.demonstrate(trajectories(demos.states, demos.actions, demos.dones), agent.actor.actor)
        batch = played([0, 1, 15])
        agent.update(batch.replace(rewards=torch.full_like(batch.rewards, reward)))
        return torch.cat([p.flatten() for _, net in agent.named_nets() for p in net.parameters()])

    assert torch.equal(weights(0.0), weights(math.nan))


def test_the_latest_policies_and_their_episodes_are_remembered_and_the_experts_proposal_always():
    agent = make_agent(num_proposals=2)
    demos = played([5, 6]).flatten()
    proposal = Net1D((STATES,), ACTIONS, action_type="discrete")
    agent.demonstrate(trajectories(demos.states, demos.actions, demos.dones), proposal)
    for row in range(4):
        torch.nn.init.normal_(agent.actor.actor.layers[-1].bias)
        agent.update(played([row]), 1, 4)
    assert [part.actions.tolist() for part in agent._samples] == [list(ALL[2][1]), list(ALL[3][1])]
    for part in (agent.demos, *agent._samples):
        ends = torch.zeros(len(part.actions), dtype=torch.bool)
        ends[HORIZON - 1 :: HORIZON] = True
        again = trajectories(part.states, part.actions, ends)
        for policy in agent._proposals:
            again = again.seen_by(policy)
        torch.testing.assert_close(part.log_densities, again.log_densities)
    assert agent._proposals[0] is proposal
    assert len(agent._proposals) == 3


def test_policies_count_by_the_episodes_that_they_have_played(monkeypatch):
    agent, seen = make_agent(), []
    demos = played([5, 6]).flatten()
    agent.demonstrate(trajectories(demos.states, demos.actions, demos.dones), agent.actor.actor)
    original = agent._update_cost
    monkeypatch.setattr(agent, "_update_cost", lambda *args: seen.append(args[2].tolist()) or original(*args))
    agent.update(played([0]), 1, 4)
    agent.update(played([1, 2, 3]), 1, 4)
    assert seen == [[0.5, 0.5], [0.5, 0.125, 0.375]]


def test_what_doesnt_fit_is_an_error():
    actor = A2CAgent(Net1D((STATES,), ACTIONS, action_type="discrete"), Net1D((STATES,), 1))
    with pytest.raises(TypeError, match="actor must be a PPO or A2C agent, whose policy has a density; not DQNAgent"):
        GCLAgent(DQNAgent(Net1D((STATES,), ACTIONS, action_type="discrete")), Cost())
    with pytest.raises(ValueError, match="the cost is a policy"):
        GCLAgent(actor, actor.actor)
    with pytest.raises(ValueError, match="lcr_reg_cost must be at least 0, got -1"):
        GCLAgent(actor, Cost(), lcr_reg_cost=-1)
    with pytest.raises(ValueError, match="num_proposals must be at least 1"):
        GCLAgent(actor, Cost(), num_proposals=0)
    with pytest.raises(RuntimeError, match="call demonstrate first"):
        GCLAgent(actor, Cost()).update(played([0]))


def test_ppo_is_a_learner_too():
    actor = PPOAgent(Net1D((STATES,), ACTIONS, action_type="discrete"), Net1D((STATES,), 1), batch_size=4)
    agent = GCLAgent(actor, Cost())
    demos = played([5, 6]).flatten()
    agent.demonstrate(trajectories(demos.states, demos.actions, demos.dones), actor.actor)
    assert math.isfinite(agent.update(played([0, 1]))["cost/loss"])


def test_both_regularisers_count_by_their_weights_on_the_trajectories_that_they_are_for():
    """Costs by hand: the gradient of a step down all three terms, against the sum of theirs."""
    torch.manual_seed(0)
    agent = make_agent(lr=1.0, lcr_reg_cost=0.3, mono_reg_cost=0.7, max_grad_norm=None)
    table = 4 * torch.randn(STATES, ACTIONS)
    with torch.no_grad():
        agent.cost.table.copy_(table)
    demos, others = played([9]).flatten(), played([6]).flatten()  # one each, so that minibatches are known
    gradients = []
    agent.optimizers["cost"].step = lambda: gradients.append(agent.cost.table.grad.clone())
    agent.demonstrate(trajectories(demos.states, demos.actions, demos.dones), agent.actor.actor)
    agent.update(played([6]), 1, 1)

    table.requires_grad_()
    shown, sampled = (table[b.states.argmax(1), b.actions] for b in (demos, others))
    log_q = torch.stack([likelihoods(agent.actor.actor)[row].log().float() for row in (9, 6)])
    loss = guided_cost_loss(shown.sum()[None], torch.stack([shown.sum(), sampled.sum()]), log_q)
    zero = torch.zeros(HORIZON, dtype=torch.int64)
    lcr = (local_constant_rate(shown, zero) + local_constant_rate(sampled, zero)) / 2
    expected = torch.autograd.grad(loss + 0.3 * lcr + 0.7 * monotonic(shown, zero), table)[0]
    assert monotonic(shown, zero) > 0
    torch.testing.assert_close(gradients[0], expected)


def test_the_cost_normalises_by_what_both_have_seen():
    cost = Net1D((STATES,), 1, normalize=True)
    agent = GCLAgent(make_agent().actor, cost)
    demos, others = played([9, 6]), played([0])
    flat = demos.flatten()
    agent.demonstrate(trajectories(flat.states, flat.actions, flat.dones), agent.actor.actor)
    agent.update(others, 1, 1)
    both = torch.cat([demos.states[:, 0], others.states[:, 0]])
    torch.testing.assert_close(cost.normalizer.mean, both.mean(0))


def test_state_goes_on_bit_for_bit():
    def make():
        torch.manual_seed(3)
        actor = PPOAgent(Net1D((STATES,), ACTIONS, action_type="discrete"), Net1D((STATES,), 1), batch_size=4)
        return GCLAgent(actor, Net1D((STATES,), 1, normalize=True), num_proposals=2)

    agent, again = make(), make()
    demos = played([5, 6, 9]).flatten()
    agent.demonstrate(trajectories(demos.states, demos.actions, demos.dones), agent.actor.actor)
    for row in range(3):
        agent.update(played([row]), 2, 4)
    again.load_state_dict(agent.state_dict())
    for one in (agent, again):
        torch.manual_seed(4)
        one.update(played([7, 8]), 2, 4)
    for (name, net), (_, other) in zip(agent.named_nets(), again.named_nets(), strict=True):
        for key, tensor in net.state_dict().items():
            assert torch.equal(tensor, other.state_dict()[key]), (name, key)


def test_correlated_noise_has_no_density_that_could_be_used():
    actor = Net1D((STATES,), ACTIONS, action_type="discrete", noise_correlation=0.9)
    with pytest.raises(ValueError, match=r"noise_correlation is 0.9; it must be 0"):
        GCLAgent(A2CAgent(actor, Net1D((STATES,), 1)), Cost())
