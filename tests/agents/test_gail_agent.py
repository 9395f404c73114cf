"""GAIL's discriminator: what it converges to, which side is which, and what the learner makes of it."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from gymnasium import spaces

import ilpyt
from ilpyt.agents import A2CAgent, DQNAgent, GAILAgent, HeuristicAgent, PPOAgent
from ilpyt.agents.gail_agent import (
    REWARDS,
    bernoulli_entropy,
    discriminator_loss,
    gradient_penalty,
)
from ilpyt.agents.imitation_agent import StateActions
from ilpyt.algos import DQN, PPO
from ilpyt.nets import Net1D, choose_net
from ilpyt.runners import Batch
from tests.counter import Counter

STATES = torch.eye(3)


@pytest.fixture(scope="module")
def env():
    with ilpyt.envs.build_env(lambda: Counter(5, action_space=spaces.Discrete(2)), num_env=2) as env:
        yield env


class TableNet(Net1D):
    """A number for each of 3 states x 2 actions, which are one-hot rows: D can be any table."""

    def initialize(self):
        super().initialize((3,), 1, hidden_sizes=())
        self.takes_actions = True
        self.table = torch.nn.Parameter(torch.zeros(3, 2))

    def forward(self, x, a=None):
        return self.table[x.argmax(1), a][:, None]

    def encode(self, x, a=None):
        return [x, a]

    def decode(self, inputs):
        return self(*inputs)


def drawn(probabilities, size):
    """Transitions whose (state, action) follows a table [3, 2]."""
    cells = torch.multinomial(probabilities.flatten(), size, replacement=True)
    return StateActions(STATES[cells // 2], cells % 2, STATES[cells // 2])


def rollout(transitions, rewards=None):
    """The same as a rollout [M, 1, ...]."""
    n = len(transitions.states)
    flags = torch.zeros(n, 1, dtype=torch.bool)
    return Batch(
        states=transitions.states[:, None],
        actions=transitions.actions[:, None],
        rewards=torch.zeros(n, 1) if rewards is None else rewards,
        dones=flags,
        terminated=flags,
        next_states=transitions.states[:, None],
    )


def learner():
    nets = Net1D((3,), 2, action_type="discrete"), Net1D((3,), 1)
    return A2CAgent(*nets, lr=0.0)


def teach(agent, batch, demos):
    """One update by these demonstrations."""
    agent.demonstrate(demos)
    return agent.update(batch)


EXPERT = torch.tensor([[0.30, 0.10], [0.05, 0.25], [0.20, 0.10]])
LEARNER = torch.tensor([[0.10, 0.20], [0.20, 0.10], [0.10, 0.30]])


def train_discriminator(expert, learner_table, updates=300):
    """Metrics of the last update; the learner doesn't learn."""
    torch.manual_seed(0)
    agent = GAILAgent(learner(), TableNet(), batch_size=1000, num_disc_updates=1)
    agent.gen.update = lambda batch: {}
    agent.demonstrate(drawn(expert, 20_000))
    batch = rollout(drawn(learner_table, 20_000))
    for k in range(updates):
        agent.optimizers["disc"].param_groups[0]["lr"] = 0.05 * (1 - k / updates)
        metrics = agent.update(batch)
    return agent, metrics


def test_the_discriminator_converges_to_the_log_ratio_of_expert_and_learner():
    agent, _ = train_discriminator(EXPERT, LEARNER)
    expected = (EXPERT / LEARNER).log()
    assert (agent.disc.table.detach() - expected).abs().max() < 0.12
    # the labels: where the expert is the likelier one, D is over 1/2, and the reward is higher than elsewhere
    assert torch.equal(agent.disc.table > 0, EXPERT > LEARNER)
    swapped, _ = train_discriminator(LEARNER, EXPERT)
    assert (swapped.disc.table.detach() - expected).abs().max() > 1


def test_identical_data_leave_it_undecided():
    _, metrics = train_discriminator(EXPERT, EXPERT)
    assert metrics["disc/accuracy"] == pytest.approx(0.5, abs=0.03)
    assert metrics["disc/entropy"] == pytest.approx(math.log(2), abs=1e-3)
    assert metrics["disc/loss"] == pytest.approx(math.log(2), abs=1e-2)


def test_its_loss_is_the_papers():
    expert, other = torch.tensor([0.3, 2.0, -1.0]), torch.tensor([-0.5, 1.5])
    by_hand = -(torch.sigmoid(expert).log().mean() + (1 - torch.sigmoid(other)).log().mean()) / 2
    assert discriminator_loss(expert, other) == pytest.approx(by_hand.item())
    assert discriminator_loss(torch.zeros(4), torch.zeros(9)).item() == pytest.approx(math.log(2))
    sure = discriminator_loss(torch.full((2,), 1e4), torch.full((2,), -1e4))
    assert sure == 0
    assert torch.isfinite(discriminator_loss(torch.full((2,), -1e4), torch.full((2,), 1e4)))


def test_rewards_are_what_their_names_say():
    logits = torch.tensor([-40.0, -1.0, 0.0, 2.0, 40.0], dtype=torch.float64)
    d = torch.sigmoid(logits)
    torch.testing.assert_close(REWARDS["softplus"](logits)[:4], -torch.log1p(-d)[:4])
    torch.testing.assert_close(REWARDS["logsigmoid"](logits), d.log())
    torch.testing.assert_close(REWARDS["logit"](logits)[1:4], (d.log() - (1 - d).log())[1:4])
    assert all((reward(logits).diff() > 0).all() for reward in REWARDS.values())
    assert (REWARDS["softplus"](logits) > 0).all()
    assert (REWARDS["logsigmoid"](logits) < 0).all()
    assert torch.isfinite(REWARDS["softplus"](torch.tensor([1e4, -1e4]))).all()


def test_entropy_is_a_coins():
    p = torch.tensor([0.5, 0.1, 0.9])
    expected = -(p * p.log() + (1 - p) * (1 - p).log())
    torch.testing.assert_close(bernoulli_entropy(torch.logit(p)), expected)
    assert bernoulli_entropy(torch.tensor([1e4, -1e4])).abs().max() == 0


def test_the_gradient_penalty_is_that_of_a_linear_function():
    net = Net1D((3,), 1, hidden_sizes=())
    inputs = [torch.randn(8, 3)], [torch.randn(8, 3)]
    norm = net.layers[0].weight.norm().item()
    assert gradient_penalty(net, *inputs).item() == pytest.approx((norm - 1) ** 2, rel=1e-5)
    penalty = gradient_penalty(net, *inputs)
    penalty.backward()
    assert net.layers[0].weight.grad.norm() > 0


def test_the_gradient_penalty_is_taken_between_the_two():
    """On a kink of which both sides have different slopes, only points between expert and learner count."""

    class Kink(Net1D):
        def decode(self, inputs):
            x = inputs[0]
            return torch.where(x > 0, 3 * x, x)

    net, here = Kink((1,), 1), torch.full((64, 1), 2.0)
    assert gradient_penalty(net, [here], [here + 1]).item() == pytest.approx(4.0)  # (3 - 1)^2
    assert gradient_penalty(net, [-here], [-here - 1]).item() == pytest.approx(0.0)


def test_the_learner_is_rewarded_by_the_discriminator_as_it_is_after_its_update(env):
    class Recorder(PPOAgent):
        def learn(self, batch):
            self.seen = batch.rewards
            return super().learn(batch)

    torch.manual_seed(0)
    gen = Recorder(Net1D((3,), 2, action_type="discrete"), Net1D((3,), 1), reward_scale=1.0)
    agent = GAILAgent(gen, TableNet(), lr=0.1, num_disc_updates=3)
    batch = rollout(drawn(LEARNER, 50))
    batch = batch.replace(**{name: t.view(25, 2, *t.shape[2:]) for name, t in batch.tensors().items()})
    teach(agent, batch, drawn(EXPERT, 500))
    after = F.softplus(agent.disc.table.detach()[batch.states.argmax(2), batch.actions])
    torch.testing.assert_close(gen.seen, after)
    assert agent.disc.table.abs().max() > 0.1


def test_the_environments_rewards_change_nothing():
    def weights(rewards):
        torch.manual_seed(0)
        gen = PPOAgent(Net1D((3,), 2, action_type="discrete"), Net1D((3,), 1), batch_size=16)
        agent = GAILAgent(gen, TableNet(), replay_memory_size=60)
        for _ in range(3):
            teach(agent, rollout(drawn(LEARNER, 40), rewards), drawn(EXPERT, 100))
        return torch.cat([p.flatten() for _, net in agent.named_nets() for p in net.parameters()])

    assert torch.equal(weights(torch.zeros(40, 1)), weights(torch.full((40, 1), math.nan)))


@pytest.mark.parametrize("n_step", [1, 3])
def test_what_dqn_remembers_is_worth_what_the_discriminator_says_now(n_step):
    torch.manual_seed(0)
    net = Net1D((3,), 2, action_type="discrete")
    gen = DQNAgent(net, learning_starts=10_000, reward_scale=0.5, gamma=0.9, n_step=n_step)
    agent = GAILAgent(gen, TableNet(), lr=0.1)
    for _ in range(4):
        teach(agent, rollout(drawn(LEARNER, 30)), drawn(EXPERT, 100))
    torch.manual_seed(1)
    rewards = gen.sample().rewards
    own = gen.replay_memory._flat
    filled = StateActions(*(own[name][:120] for name in ("states", "actions", "next_states")))
    own["rewards"][:120] = 0.5 * agent.reward(filled)
    torch.manual_seed(1)
    torch.testing.assert_close(rewards, gen.replay_memory.sample(gen.batch_size, 0.9, n_step).rewards)
    assert rewards.std() > 0


def test_past_rollouts_are_learnt_from_too_if_they_are_remembered():
    """A learner that has become the expert: only the memory of what it was keeps D from being undecided."""

    def accuracy(**kwargs):
        torch.manual_seed(0)
        agent = GAILAgent(learner(), TableNet(), lr=0.05, batch_size=1000, num_disc_updates=1, **kwargs)
        for k in range(100):
            teach(agent, rollout(drawn(LEARNER if k < 50 else EXPERT, 500)), drawn(EXPERT, 10_000))
        return agent.disc.table.abs().max().item()

    assert accuracy() < 0.3
    assert accuracy(replay_memory_size=50_000) > 0.4


@pytest.mark.parametrize("kind", ["state", "state-action", "transition"])
def test_the_discriminator_sees_what_it_was_made_for(env, kind):
    shapes = {"state": {}, "state-action": {"with_action_shape": True}, "transition": {"with_next_state": True}}
    disc = choose_net(env, output_shape=1, normalize=True, **shapes[kind])
    agent = GAILAgent(PPO.make_agent(env), disc, state_only=kind == "state")
    base = StateActions(torch.rand(4, 2), torch.zeros(4, dtype=torch.int64), torch.rand(4, 2))
    other_actions = base._replace(actions=torch.ones(4, dtype=torch.int64))
    other_next = base._replace(next_states=base.next_states + 1)
    moved = {name: not torch.equal(agent.logits(base), agent.logits(t)) for name, t in
             {"actions": other_actions, "next": other_next}.items()}  # fmt: skip
    assert moved == {"actions": kind == "state-action", "next": kind == "transition"}


def test_continuous_actions_are_seen_as_the_environment_takes_them():
    box = spaces.Box(-1, 2, (2,), np.float32)
    with ilpyt.envs.build_env(lambda: Counter(5, action_space=box), num_env=1) as env:
        disc = choose_net(env, output_shape=1, with_action_shape=True)
    states = torch.rand(3, 2)
    wild, clipped = torch.tensor([[5.0, -7.0]] * 3), torch.tensor([[2.0, -1.0]] * 3)
    torch.testing.assert_close(disc(states, wild), disc(states, clipped))


def test_spectral_norm_bounds_the_slope(env):
    torch.manual_seed(0)
    disc = choose_net(env, output_shape=1, with_action_shape=True, spectral_norm=True)
    optimizer = torch.optim.Adam(disc.parameters(), lr=0.1)
    x, a = torch.randn(256, 2), torch.randint(2, (256,))
    for _ in range(100):
        loss = F.softplus(-disc(x, a) * x.sign()[:, :1]).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(disc(x, a).sum(), x)
    assert gradient.norm(dim=1).max() < 1.05
    assert gradient.norm(dim=1).max() > 0.3


@pytest.mark.parametrize("gen", ["PPO", "A2C", "DQN"])
def test_images_and_all_learners(gen):
    image = spaces.Box(0, 255, (12, 12, 3), np.uint8)

    class Picture(Counter):
        def __init__(self):
            super().__init__(5, action_space=spaces.Discrete(2))
            self.observation_space = image

        def observe(self):
            return np.full((12, 12, 3), 10 * self.t, np.uint8)

    with ilpyt.envs.build_env(Picture, num_env=2) as env:
        learner = getattr(ilpyt.algos, gen).make_agent(env)
        disc = choose_net(env, output_shape=1, with_action_shape=True)
        agent = GAILAgent(learner, disc, gradient_penalty_coeff=1.0, batch_size=16)
        batch = ilpyt.runners.Runner(env, agent).generate_batch(8)
        flat = batch.flatten()
        metrics = teach(agent, batch, StateActions(flat.states, flat.actions))
        assert math.isfinite(metrics["disc/loss"])


def test_what_doesnt_fit_is_an_error(env):
    gen = PPO.make_agent(env)
    with pytest.raises(ValueError, match="doesn't take actions.*with_action_shape=True"):
        GAILAgent(gen, choose_net(env, output_shape=1))
    with pytest.raises(ValueError, match="discriminator is a policy"):
        GAILAgent(gen, choose_net(env))
    with pytest.raises(ValueError, match="discriminator has 2 outputs"):
        GAILAgent(gen, choose_net(env, output_shape=2, with_action_shape=True))
    disc = choose_net(env, output_shape=1, with_action_shape=True)
    with pytest.raises(ValueError, match="reward must be one of 'softplus', 'logit', 'logsigmoid', got 'airl'"):
        GAILAgent(gen, disc, reward="airl")
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        GAILAgent(gen, disc, batch_size=0)
    with pytest.raises(ValueError, match="gradient_penalty_coeff must be at least 0, got -1"):
        GAILAgent(gen, disc, gradient_penalty_coeff=-1)

    class Scripted(HeuristicAgent):
        act = None

    Scripted.__abstractmethods__ = frozenset()
    with pytest.raises(TypeError, match="gen must learn from rewards: a PPO, A2C or DQN agent, not a Scripted"):
        GAILAgent(Scripted(), disc)


def test_state_goes_on_bit_for_bit(env):
    def make():
        torch.manual_seed(1)
        return GAILAgent(DQN.make_agent(env, learning_starts=20, batch_size=8), choose_net(
            env, output_shape=1, with_action_shape=True, normalize=True), replay_memory_size=100)  # fmt: skip

    agent, again = make(), make()
    runner = ilpyt.runners.Runner(env, agent)
    batches = [runner.generate_batch(10) for _ in range(4)]
    flat = batches[0].flatten()
    demos = StateActions(flat.states, flat.actions)
    for batch in batches[:2]:
        teach(agent, batch, demos)
    again.load_state_dict(agent.state_dict())
    for one in (agent, again):
        torch.manual_seed(2)
        for batch in batches[2:]:
            one.demos = demos
            one.update(batch)
    for (name, net), (_, other) in zip(agent.named_nets(), again.named_nets(), strict=True):
        for key, tensor in net.state_dict().items():
            assert torch.equal(tensor, other.state_dict()[key]), (name, key)


def test_the_gradient_penalty_counts_by_its_coefficient(env):
    def slope(coefficient):
        torch.manual_seed(0)
        disc = choose_net(env, output_shape=1, with_action_shape=True, hidden_sizes=())
        agent = GAILAgent(PPO.make_agent(env, lr=0.0), disc, lr=0.02, gradient_penalty_coeff=coefficient, batch_size=64)
        expert = StateActions(torch.randn(200, 2) + 5, torch.ones(200, dtype=torch.int64))  # as easy as can be
        flags = torch.zeros(100, 1, dtype=torch.bool)
        states = torch.randn(100, 1, 2)
        batch = Batch(states, torch.zeros(100, 1, dtype=torch.int64), torch.zeros(100, 1), flags, flags, states)
        for _ in range(50):
            teach(agent, batch, expert)
        return disc.layers[0].weight.norm().item()

    assert slope(0.0) > 1.8
    assert slope(100.0) == pytest.approx(1.0, abs=0.1)


def test_minibatches_are_drawn_from_all_that_there_is():
    """The last half of the demonstrations, and of the rollout, is unlike the first."""
    torch.manual_seed(0)
    first, second = torch.zeros(3, 2), torch.zeros(3, 2)
    first[0, 0], second[1, 1] = 1.0, 1.0

    def halves():
        parts = [drawn(table, 500) for table in (first, second)]
        return StateActions(
            *(torch.cat([getattr(part, f) for part in parts]) for f in ("states", "actions", "next_states"))
        )

    agent = GAILAgent(learner(), TableNet(), lr=0.05, num_disc_updates=1, batch_size=64)
    other = torch.zeros(3, 2)
    other[2, 0] = 1.0
    for _ in range(30):
        teach(agent, rollout(drawn(other, 100)), halves())
    assert agent.disc.table[0, 0] > 0.5
    assert agent.disc.table[1, 1] > 0.5
    agent = GAILAgent(learner(), TableNet(), lr=0.05, num_disc_updates=1, batch_size=64)
    for _ in range(30):
        teach(agent, rollout(halves()), drawn(other, 100))
    assert agent.disc.table[0, 0] < -0.5
    assert agent.disc.table[1, 1] < -0.5


def test_accuracies_are_of_either_side():
    agent = GAILAgent(learner(), TableNet(), lr=1e-9)
    with torch.no_grad():
        agent.disc.table.copy_(torch.tensor([[5.0, 5.0], [-5.0, -5.0], [-5.0, -5.0]]))
    demos = StateActions(STATES[[0, 0, 0, 1]], torch.zeros(4, dtype=torch.int64))
    played = StateActions(STATES[[0, 1, 1, 2, 2]], torch.zeros(5, dtype=torch.int64))
    torch.manual_seed(0)
    agent.demonstrate(demos)
    metrics = [agent.update(rollout(played)) for _ in range(300)]
    expert = np.mean([m["disc/accuracy_expert"] for m in metrics])
    assert expert == pytest.approx(0.75, abs=0.05)
    assert metrics[0]["disc/accuracy_learner"] == pytest.approx(0.8)
    assert np.mean([m["disc/accuracy"] for m in metrics]) == pytest.approx((expert + 0.8) / 2)


def test_the_discriminator_normalises_by_what_both_have_seen(env):
    disc = choose_net(env, output_shape=1, with_action_shape=True, normalize=True)
    agent = GAILAgent(PPO.make_agent(env), disc, batch_size=8)
    runner = ilpyt.runners.Runner(env, agent)
    batch = runner.generate_batch(10)
    demos = StateActions(torch.full((60, 2), 9.0), torch.zeros(60, dtype=torch.int64))
    teach(agent, batch, demos)
    both = torch.cat([demos.states, batch.states.flatten(0, 1)])
    torch.testing.assert_close(disc.normalizer.mean, both.mean(0))
    assert disc.normalizer.count == 80


def test_there_must_be_an_expert(env):
    agent = GAILAgent(PPO.make_agent(env), choose_net(env, output_shape=1, with_action_shape=True))
    with pytest.raises(RuntimeError, match="call demonstrate first"):
        agent.update(ilpyt.runners.Runner(env, agent).generate_batch(2))
