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
    Transitions,
    bernoulli_entropy,
    discriminator_loss,
    gradient_penalty,
)
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
    return Transitions(STATES[cells // 2], cells % 2, STATES[cells // 2])


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


EXPERT = torch.tensor([[0.30, 0.10], [0.05, 0.25], [0.20, 0.10]])
LEARNER = torch.tensor([[0.10, 0.20], [0.20, 0.10], [0.10, 0.30]])


def train_discriminator(expert, learner_table, updates=400, **kwargs):
    torch.manual_seed(0)
    agent = GAILAgent(learner(), TableNet(), lr=0.02, batch_size=2000, num_disc_updates=1, **kwargs)
    for k in range(updates):
        agent.optimizers["disc"].param_groups[0]["lr"] = 0.02 * (1 - k / updates)
        metrics = agent.update(rollout(drawn(learner_table, 2000)), drawn(expert, 20_000))
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
    agent.update(batch, drawn(EXPERT, 500))
    after = F.softplus(agent.disc.table.detach()[batch.states[:, 0].argmax(1), batch.actions[:, 0]])
    torch.testing.assert_close(gen.seen[:, 0], after)
    assert agent.disc.table.abs().max() > 0.1


def test_the_environments_rewards_change_nothing():
    def weights(rewards):
        torch.manual_seed(0)
        gen = PPOAgent(Net1D((3,), 2, action_type="discrete"), Net1D((3,), 1), batch_size=16)
        agent = GAILAgent(gen, TableNet(), replay_memory_size=60)
        for _ in range(3):
            agent.update(rollout(drawn(LEARNER, 40), rewards), drawn(EXPERT, 100))
        return torch.cat([p.flatten() for _, net in agent.named_nets() for p in net.parameters()])

    assert torch.equal(weights(torch.zeros(40, 1)), weights(torch.full((40, 1), math.nan)))


def test_what_dqn_remembers_gets_the_newest_rewards():
    torch.manual_seed(0)
    gen = DQNAgent(Net1D((3,), 2, action_type="discrete"), learning_starts=10_000, reward_scale=0.5)
    agent = GAILAgent(gen, TableNet(), lr=0.1)
    for _ in range(4):
        agent.update(rollout(drawn(LEARNER, 30)), drawn(EXPERT, 100))
    memory = gen.replay_memory.state_dict()
    assert len(memory["rewards"]) == 120
    remembered = Transitions(memory["states"][:, 0], memory["actions"][:, 0], memory["next_states"][:, 0])
    torch.testing.assert_close(memory["rewards"][:90, 0], 0.5 * agent.reward(remembered)[:90])


def test_past_rollouts_are_learnt_from_too_if_they_are_remembered():
    """A learner that has become the expert: only the memory of what it was keeps D from being undecided."""

    def accuracy(**kwargs):
        torch.manual_seed(0)
        agent = GAILAgent(learner(), TableNet(), lr=0.05, batch_size=1000, num_disc_updates=1, **kwargs)
        for k in range(100):
            agent.update(rollout(drawn(LEARNER if k < 50 else EXPERT, 500)), drawn(EXPERT, 10_000))
        return agent.disc.table.abs().max().item()

    assert accuracy() < 0.3
    assert accuracy(replay_memory_size=50_000) > 0.4


@pytest.mark.parametrize("kind", ["state", "state-action", "transition"])
def test_the_discriminator_sees_what_it_was_made_for(env, kind):
    shapes = {"state": {}, "state-action": {"with_action_shape": True}, "transition": {"with_next_state": True}}
    disc = choose_net(env, output_shape=1, normalize=True, **shapes[kind])
    agent = GAILAgent(PPO.make_agent(env), disc, state_only=kind == "state")
    base = Transitions(torch.rand(4, 2), torch.zeros(4, dtype=torch.int64), torch.rand(4, 2))
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
        metrics = agent.update(batch, Transitions(flat.states, flat.actions))
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
    demos = Transitions(flat.states, flat.actions)
    for batch in batches[:2]:
        agent.update(batch, demos)
    again.load_state_dict(agent.state_dict())
    for one in (agent, again):
        torch.manual_seed(2)
        for batch in batches[2:]:
            one.update(batch, demos)
    for (name, net), (_, other) in zip(agent.named_nets(), again.named_nets(), strict=True):
        for key, tensor in net.state_dict().items():
            assert torch.equal(tensor, other.state_dict()[key]), (name, key)
