"""FlatAdam, against PyTorch's Adam."""

import copy

import pytest
import torch
from torch import nn

from ilpyt.utils.flat_adam import FlatAdam


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 2))


def train(model, optimizer, steps, seed=1):
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        optimizer.zero_grad()
        model(torch.randn(16, 3, generator=generator)).square().mean().backward()
        optimizer.step()
    return [p.detach().clone() for p in model.parameters()]


def same(left, right, **tolerance):
    torch.testing.assert_close(left, right, **(tolerance or {"atol": 0, "rtol": 0}))


def test_it_does_what_adam_does():
    flat, plain = net(), net()
    trained = train(flat, FlatAdam(flat.parameters(), lr=1e-2), 50)
    same(trained, train(plain, torch.optim.Adam(plain.parameters(), lr=1e-2), 50), atol=1e-6, rtol=1e-5)
    assert not torch.equal(trained[0], net()[0].weight)


def replace_last(model):
    model[2].weight.data = model[2].weight.data.clone()


@pytest.mark.parametrize("disturb", [lambda m: m.zero_grad(), lambda m: m.double().float(), replace_last])
def test_parameters_that_were_replaced_are_joined_again(disturb):
    one, other = net(), net()
    first, second = FlatAdam(one.parameters(), lr=1e-2), FlatAdam(other.parameters(), lr=1e-2)
    same(train(one, first, 5), train(other, second, 5))
    disturb(one)
    same(train(one, first, 5, seed=2), train(other, second, 5, seed=2))


def test_gradients_that_were_set_on_the_parameters_are_those_that_count():
    one, plain = net(), net()
    flat = FlatAdam(one.parameters(), lr=1e-2)
    adam = torch.optim.Adam(plain.parameters(), lr=1e-2)
    x = torch.randn(8, 3)
    for model, optimizer in ((one, flat), (plain, adam)):
        for _ in range(5):
            model.zero_grad()  # the network's, as many a script does
            model(x).square().mean().backward()
            optimizer.step()
    same(list(one.parameters()), list(plain.parameters()), atol=1e-6, rtol=1e-5)


def test_a_copy_of_network_and_optimizer_goes_on_alike_and_apart():
    one = net()
    optimizer = FlatAdam(one.parameters(), lr=1e-2)
    train(one, optimizer, 5)
    other, copied = copy.deepcopy((one, optimizer))
    before = [p.clone() for p in one.parameters()]
    after = train(other, copied, 5, seed=2)
    same([p.detach() for p in one.parameters()], [p.detach() for p in before])
    same(train(one, optimizer, 5, seed=2), after)


def test_its_state_goes_to_another():
    one, other = net(), net()
    first, second = FlatAdam(one.parameters(), lr=1e-2), FlatAdam(other.parameters(), lr=1e-3)
    train(one, first, 5)
    other.load_state_dict(one.state_dict())
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    same(train(one, first, 5, seed=2), train(other, second, 5, seed=2))


def test_shared_layers_count_once():
    shared = nn.Linear(3, 3)
    parameters = [*nn.Sequential(shared, nn.Linear(3, 1)).parameters(), *nn.Sequential(shared).parameters()]
    assert FlatAdam(parameters).param_groups[0]["params"][0].numel() == 12 + 4
