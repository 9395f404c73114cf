"""Saving, loading, modes and optimizer steps that all agents share."""

import os

import numpy as np
import pytest
import torch

from ilpyt.agents import A2CAgent, BaseAgent, ImitationAgent, PPOAgent
from ilpyt.nets import Net1D
from ilpyt.runners import Batch, Experiences
from ilpyt.utils.errors import DataError, TrainingError
from ilpyt.utils.schedules import Linear


def policy(**kwargs):
    return Net1D((3,), 2, action_type="discrete", hidden_sizes=(8,), **kwargs)


class Holder(BaseAgent):
    """An agent with a network of its own that holds another agent."""

    def initialize(self):
        self.disc = Net1D((3,), 1)
        self.nets = {"disc": self.disc}
        self.agents = {"gen": ImitationAgent(policy(normalize=True))}

    def step(self, state):
        return self.agents["gen"].step(state)

    def update(self, batch):
        return self.agents["gen"].update(batch)


def weights(agent):
    return {name: p.clone() for name, net in agent.named_nets() for name, p in net.state_dict().items()}


def same(a, b):
    return all(torch.equal(x, y) for x, y in zip(a.values(), b.values(), strict=True))


def data(n=64):
    torch.manual_seed(1)
    return Experiences(torch.randn(n, 3), torch.randint(2, (n,)), torch.zeros(n), torch.zeros(n))


def test_weights_of_all_networks_survive_save_and_load(tmp_path):
    first, second = Holder(), Holder()
    first.observe(torch.randn(50, 3) + 7)
    first.save(tmp_path, 12)
    assert sorted(os.listdir(tmp_path)) == ["disc_12.pth", "gen_net_12.pth"]
    assert not same(weights(first), weights(second))
    assert second.load(tmp_path) == 12
    assert same(weights(first), weights(second))
    assert second.agents["gen"].net.normalizer.count == 50


def test_the_newest_checkpoint_is_the_highest_step_not_the_latest_file(tmp_path):
    agent = ImitationAgent(policy())
    agent.save(tmp_path, 100)
    at_100 = weights(agent)
    agent.update(data())
    agent.save(tmp_path, 20)
    assert agent.load(tmp_path) == 100
    assert same(weights(agent), at_100)
    assert agent.load(tmp_path, 20) == 20
    assert not same(weights(agent), at_100)


def test_a_name_that_begins_alike_is_another_network(tmp_path):
    agent = ImitationAgent(policy())
    agent.save(tmp_path, 1)
    os.rename(tmp_path / "net_1.pth", tmp_path / "net_target_9.pth")
    with pytest.raises(FileNotFoundError, match=r"has no net_<step>.pth to load; it has net_target_9.pth"):
        agent.load(tmp_path)


def test_only_own_old_files_are_pruned(tmp_path):
    ImitationAgent(policy()).save(tmp_path / "a", 1)  # by another agent
    ImitationAgent(policy()).save(tmp_path / "b", 2)
    agent = ImitationAgent(policy())
    for step in (2, 3, 4, 5):
        agent.save(tmp_path / "a", step, keep=2)
    agent.save(tmp_path / "b", 6, keep=1)
    assert sorted(os.listdir(tmp_path / "a")) == ["net_1.pth", "net_4.pth", "net_5.pth"]
    assert sorted(os.listdir(tmp_path / "b")) == ["net_2.pth", "net_6.pth"]


def test_weights_of_another_network_are_refused_and_nothing_changes(tmp_path):
    ImitationAgent(Net1D((3,), 2, action_type="discrete", hidden_sizes=(16,))).save(tmp_path, 1)
    agent = ImitationAgent(policy())
    before = weights(agent)
    with pytest.raises(DataError, match=r"net_1.pth holds weights of another network: layers.0.weight is \[16, 3\]"):
        agent.load(tmp_path)
    with pytest.raises(DataError, match="names are in one of them only: normalizer"):
        ImitationAgent(policy(normalize=True)).load(tmp_path)
    assert same(weights(agent), before)


def test_broken_and_hostile_weights_are_refused(tmp_path):
    class Runs:
        def __reduce__(self):
            return os.system, ("touch evil",)

    agent = ImitationAgent(policy())
    torch.save({"layers.0.weight": Runs()}, tmp_path / "net_1.pth")
    with pytest.raises(DataError, match=r"net_1.pth is refused as a file of weights: it asks for \w+.system"):
        agent.load(tmp_path)
    assert not (tmp_path / "evil").exists()
    (tmp_path / "net_1.pth").write_bytes(b"nonsense")
    with pytest.raises(DataError, match=r"net_1.pth is not a file of weights"):
        agent.load(tmp_path)


def test_state_dict_holds_all_that_training_goes_on_from():
    torch.manual_seed(0)
    first, second = Holder(), Holder()
    first.update(data())
    second.load_state_dict(first.state_dict())
    for agent in (first, second):
        agent.update(data())
    assert same(weights(first), weights(second))


def test_test_mode_is_greedy_reaches_held_agents_and_goes_back():
    torch.manual_seed(0)
    agent = Holder()
    states = torch.randn(1, 3).expand(200, 3)
    assert len(np.unique(agent.step(states))) == 2
    with agent.test_mode():
        assert not agent.agents["gen"].training
        assert len(np.unique(agent.step(states))) == 1
    assert agent.agents["gen"].training


def test_a_file_holds_its_networks_weights_and_no_others(tmp_path):
    agent = PPOAgent(Net1D((3,), 2, action_type="discrete"), Net1D((3,), 1, hidden_sizes=(512, 512)))
    agent.save(tmp_path, 1)
    assert (tmp_path / "actor_1.pth").stat().st_size < 100_000 < (tmp_path / "critic_1.pth").stat().st_size


@pytest.mark.parametrize("agent_class", [A2CAgent, PPOAgent])
def test_actor_critic_agents_go_on_from_their_state_bit_for_bit(agent_class):
    def make():
        nets = Net1D((3,), 2, action_type="discrete", normalize=True), Net1D((3,), 1)
        return agent_class(*nets, lr=Linear(1e-2, 0, 500))

    def update(agent, seed):
        generator = torch.Generator().manual_seed(seed)
        states, next_states = torch.randn(2, 10, 4, 3, generator=generator)
        dones = torch.rand(10, 4, generator=generator) < 0.2
        actions = torch.randint(2, (10, 4), generator=generator)
        torch.manual_seed(seed)
        return agent.update(Batch(states, actions, states[..., 0], dones, dones, next_states))

    first, second = make(), make()
    for seed in range(3):
        update(first, seed)
    second.load_state_dict(first.state_dict())
    assert (second.env_steps, second.updates) == (first.env_steps, first.updates) == (120, first.updates)
    assert update(first, 7) == update(second, 7)
    for (name, one), (_, other) in zip(first.named_nets(), second.named_nets(), strict=True):
        for key, value in one.state_dict().items():
            assert torch.equal(value, other.state_dict()[key]), (name, key)


def test_a_step_has_no_training_side_effect():
    agent = Holder()
    before = weights(agent)
    agent.step(torch.randn(5, 3))
    assert same(weights(agent), before)


def test_optimize_is_a_plain_adam_step():
    torch.manual_seed(0)
    own = ImitationAgent(policy(), lr=0.01)
    net = policy()
    net.load_state_dict(own.net.state_dict())
    adam = torch.optim.Adam(net.parameters(), lr=0.01)
    batch = data()
    for _ in range(20):
        own.update(batch)
        adam.zero_grad()
        torch.nn.functional.cross_entropy(net(batch.states), batch.actions).backward()
        adam.step()
    for p, q in zip(own.net.parameters(), net.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-4, atol=1e-5)


def test_gradients_are_clipped_to_their_norm():
    agent = ImitationAgent(policy(), max_grad_norm=1e-3)
    agent.optimize("net", 1000 * agent.loss(data()), agent.max_grad_norm)
    norm = torch.cat([p.grad.flatten() for p in agent.net.parameters()]).norm()
    torch.testing.assert_close(norm, torch.tensor(1e-3), rtol=1e-3, atol=0)


def test_a_gradient_that_isnt_finite_stops_before_it_spoils_the_weights():
    agent = ImitationAgent(policy())
    before = weights(agent)
    zero = next(agent.net.parameters()).sum() * 0
    with pytest.raises(TrainingError, match="the net gradient is (nan|inf)"):
        agent.optimize("net", zero.abs().sqrt() + agent.loss(data()))
    assert same(weights(agent), before)


def test_a_loss_that_isnt_finite_stops_before_it_spoils_the_weights():
    agent = ImitationAgent(policy())
    before = weights(agent)
    bad = data()
    bad.states[3, 0] = torch.nan
    with pytest.raises(TrainingError, match="the net loss is nan"):
        agent.update(bad)
    assert same(weights(agent), before)
