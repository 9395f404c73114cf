"""Networks, heads and the input normaliser."""

import math

import numpy as np
import pytest
import torch

import ilpyt
from ilpyt.nets import BaseNetwork, Categorical, DiagonalNormal, Net1D, Net2D, RunningNorm, choose_net


@pytest.fixture(scope="module")
def envs():
    """One environment of each kind, by kind."""
    ids = {"discrete": "CartPole-v1", "continuous": "LunarLanderContinuous-v3", "image": "CarRacing-v3"}
    built = {kind: ilpyt.envs.build_env(env_id, num_env=1) for kind, env_id in ids.items()}
    yield built
    for env in built.values():
        env.close()


def test_categorical_agrees_with_torch():
    torch.manual_seed(0)
    logits, actions = torch.randn(7, 4), torch.randint(4, (7,))
    own, torchs = Categorical(logits), torch.distributions.Categorical(logits=logits)
    torch.testing.assert_close(own.log_prob(actions), torchs.log_prob(actions))
    torch.testing.assert_close(own.entropy(), torchs.entropy())
    assert own.mode().tolist() == logits.argmax(1).tolist()
    assert own.sample().shape == (7,)
    assert own.sample().dtype == torch.int64


def test_categorical_samples_as_often_as_its_probabilities_say():
    torch.manual_seed(0)
    p = torch.tensor([0.1, 0.2, 0.7])
    n = 200_000
    counts = torch.bincount(Categorical((p.log() + 5).expand(n, 3)).sample(), minlength=3)
    standard_errors = (p * (1 - p) / n).sqrt()
    assert ((counts / n - p).abs() < 4 * standard_errors).all()


def test_normal_agrees_with_torch_summed_over_action_dimensions():
    torch.manual_seed(0)
    mean, log_std, actions = torch.randn(7, 3), torch.randn(3), torch.randn(7, 3)
    own, torchs = DiagonalNormal(mean, log_std), torch.distributions.Normal(mean, log_std.exp())
    torch.testing.assert_close(own.log_prob(actions), torchs.log_prob(actions).sum(1))
    torch.testing.assert_close(own.entropy(), torchs.entropy().sum(1))
    assert own.mode() is mean


def test_normal_samples_have_its_mean_and_deviation():
    torch.manual_seed(0)
    n = 200_000
    samples = DiagonalNormal(torch.tensor([1.0, -2.0]).expand(n, 2), torch.tensor([0.5, 3.0]).log()).sample()
    torch.testing.assert_close(samples.mean(0), torch.tensor([1.0, -2.0]), atol=0.03, rtol=0)
    torch.testing.assert_close(samples.std(0), torch.tensor([0.5, 3.0]), atol=0, rtol=0.01)


def test_mode_error_is_disagreement_or_squared_distance():
    assert Categorical(torch.tensor([[1.0, 2.0], [3.0, 0.0]])).mode_error(torch.tensor([1, 1])).tolist() == [0, 1]
    normal = DiagonalNormal(torch.tensor([[1.0, 2.0]]), torch.zeros(2))
    assert normal.mode_error(torch.tensor([[4.0, -2.0]])).tolist() == [25]


def test_choose_net_fits_spaces(envs):
    assert isinstance(choose_net(envs["discrete"]), Net1D)
    assert isinstance(choose_net(envs["image"]), Net2D)
    for kind, dtype, shape in [
        ("discrete", np.int64, (5,)),
        ("continuous", np.float32, (5, 2)),
        ("image", np.float32, (5, 3)),
    ]:
        env = envs[kind]
        states = torch.zeros((5, *env.observation_shape), dtype=torch.uint8 if kind == "image" else torch.float32)
        distribution, actions = choose_net(env).get_action(states)
        assert actions.numpy().dtype == dtype
        assert actions.shape == shape
        assert distribution.log_prob(actions).shape == (5,)


def test_deterministic_actions_are_the_mode(envs):
    torch.manual_seed(0)
    states = torch.randn(50, 8)
    net = choose_net(envs["continuous"])
    distribution, actions = net.get_action(states, deterministic=True)
    torch.testing.assert_close(actions, distribution.mean)
    assert not torch.equal(net.get_action(states)[1], actions)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_outputs_can_be_negative_and_large(envs, activation):
    """No activation stands on the output layer."""
    torch.manual_seed(0)
    net = choose_net(envs["discrete"], output_shape=16, activation=activation)
    net.layers[-1].weight.data *= 100
    outputs = net(torch.randn(100, 4))
    assert outputs.min() < -2
    assert outputs.max() > 2


def test_something_stands_between_linear_layers(envs):
    """f(-x) is not -f(x), as it would be if the layers were one linear map with biases of 0."""
    net = choose_net(envs["discrete"])
    for name, parameter in net.named_parameters():
        if "bias" in name:
            torch.nn.init.zeros_(parameter)
    x = torch.randn(20, 4)
    assert not torch.allclose(net(-x), -net(x), atol=1e-3)


def test_value_network_gives_values_and_refuses_to_act(envs):
    net = choose_net(envs["discrete"], output_shape=1)
    assert net(torch.zeros(3, 4)).shape == (3, 1)
    with pytest.raises(TypeError, match="values, not actions"):
        net.get_action(torch.zeros(3, 4))


@pytest.mark.parametrize("kind", ["discrete", "continuous", "image"])
def test_actions_are_a_second_input(envs, kind):
    torch.manual_seed(0)
    env = envs[kind]
    net = choose_net(env, output_shape=1, with_action_shape=True)
    states = torch.zeros((2, *env.observation_shape), dtype=torch.uint8 if kind == "image" else torch.float32)
    actions = (
        torch.tensor([0, 1])
        if kind == "discrete"
        else torch.stack([torch.zeros(env.num_actions), torch.ones(env.num_actions)])
    )
    first, second = net(states, actions)
    assert first != second


def test_input_shape_overrides_the_environments(envs):
    assert choose_net(envs["discrete"], input_shape=10)(torch.zeros(2, 10)).shape == (2, 2)
    assert choose_net(envs["discrete"], input_shape=(8, 8, 3))(torch.zeros(2, 8, 8, 3)).shape == (2, 2)


def test_hidden_sizes_none_is_a_linear_network(envs):
    net = choose_net(envs["continuous"], hidden_sizes=())
    x, y = torch.randn(2, 5, 8)
    torch.testing.assert_close(net(x + y) + net(0 * x), net(x) + net(y))


def test_images_are_scaled_to_0_to_1(envs):
    net = choose_net(envs["image"])
    image = torch.randint(256, (1, 96, 96, 3), dtype=torch.uint8)
    torch.testing.assert_close(net(image), net(image.float() / 255))


def test_unknown_activation_is_refused(envs):
    for kind in ("discrete", "image"):
        with pytest.raises(ValueError, match="'relu', 'tanh'"):
            choose_net(envs[kind], activation="gelu")


def test_normalize_is_taken_for_images_too(envs):
    assert isinstance(choose_net(envs["image"], normalize=True), Net2D)


def test_running_norm_has_the_moments_of_all_that_it_saw():
    torch.manual_seed(0)
    data = 1000 + torch.randn(500, 3) * torch.tensor([1.0, 5.0, 0.01])
    norm = RunningNorm((3,))
    for part in data.split([1, 9, 90, 400]):
        norm.update(part)
    torch.testing.assert_close(norm.mean, data.double().mean(0).float())
    torch.testing.assert_close(norm.variance, data.double().var(0, correction=0).float(), rtol=1e-3, atol=0)
    out = norm(data)
    torch.testing.assert_close(out.mean(0), torch.zeros(3), atol=0.02, rtol=0)
    torch.testing.assert_close(out.std(0), torch.ones(3), atol=0.02, rtol=0)


def test_running_norm_before_any_data_changes_nothing_and_clips():
    norm = RunningNorm((1,), clip=10)
    torch.testing.assert_close(norm(torch.tensor([[3.0], [-50.0]])), torch.tensor([[3.0], [-10.0]]))


def test_running_norm_is_saved_with_the_weights(envs):
    first, second = (choose_net(envs["discrete"], normalize=True) for _ in range(2))
    first.observe(5 + torch.randn(100, 4))
    second.load_state_dict(first.state_dict())
    states = torch.randn(10, 4)
    torch.testing.assert_close(first(states), second(states))
    assert second.normalizer.count == 100


def test_standard_deviation_stays_within_bounds(envs):
    net = choose_net(envs["continuous"])
    net.log_std.data.fill_(-50)
    assert net.get_distribution(torch.zeros(1, 8)).log_std.min() == -5  # and comes back from there
    adam = torch.optim.Adam(net.parameters(), lr=0.1)
    for _ in range(100):
        adam.zero_grad()
        loss = -net.get_distribution(torch.zeros(64, 8)).log_prob(torch.randn(64, 2)).mean()
        loss.backward()
        adam.step()
    assert net.log_std.min() > -4.5
    assert math.isclose(choose_net(envs["continuous"], log_std=-1.5).log_std[0].item(), -1.5)
    with pytest.raises(ValueError, match=r"log_std must be in -5..2, got 4.0; gymnasium.wrappers.RescaleAction"):
        choose_net(envs["continuous"], log_std=4.0)


@pytest.mark.parametrize("kind", ["discrete", "continuous"])
def test_correlated_noise_leaves_the_distribution_of_an_action_as_it_is(envs, kind):
    torch.manual_seed(0)
    net = choose_net(envs[kind], noise_correlation=0.9)
    states = torch.zeros(20_000, *envs[kind].observation_shape)
    for _ in range(3):  # the first draw is fresh; later ones depend on it
        distribution, actions = net.get_action(states)
    if kind == "discrete":
        frequencies = torch.bincount(actions, minlength=2) / len(actions)
        torch.testing.assert_close(frequencies, distribution.log_probs[0].exp().detach(), atol=0.012, rtol=0)
    else:
        torch.testing.assert_close(actions.mean(0), distribution.mean[0].detach(), atol=0.03, rtol=0)
        torch.testing.assert_close(actions.std(0), torch.ones(2), atol=0.02, rtol=0)


def test_correlated_noise_keeps_its_direction_as_long_as_asked(envs):
    torch.manual_seed(0)
    net = choose_net(envs["continuous"], noise_correlation=0.9)
    states = torch.zeros(5000, 8)
    draws = [net.get_action(states)[1][:, 0] for _ in range(6)]
    for lag in (1, 2, 5):
        correlation = torch.corrcoef(torch.stack([draws[0], draws[lag]]))[0, 1].item()
        assert correlation == pytest.approx(0.9**lag, abs=0.03)
    plain = choose_net(envs["continuous"])
    pair = torch.stack([plain.get_action(states)[1][:, 0] for _ in range(2)])
    assert torch.corrcoef(pair)[0, 1].abs() < 0.06


def test_noise_correlation_is_a_fraction(envs):
    with pytest.raises(ValueError, match="noise_correlation must be at least 0 and less than 1, got 1.0"):
        choose_net(envs["continuous"], noise_correlation=1.0)


@pytest.mark.parametrize("kind", ["discrete", "image"])
def test_output_gain_starts_from_orthogonal_weights(envs, kind):
    net = choose_net(envs[kind], output_gain=0.01)
    layers = [m for m in net.modules() if isinstance(m, torch.nn.Linear)]
    rows = layers[-1].weight.detach()
    torch.testing.assert_close(rows @ rows.T, 1e-4 * torch.eye(len(rows)), atol=1e-8, rtol=1e-3)
    first = layers[0].weight.detach()
    if len(first) > first.shape[1]:
        first = first.T
    torch.testing.assert_close(first @ first.T, 2 * torch.eye(len(first)), atol=1e-4, rtol=1e-4)
    assert all(layer.bias.abs().sum() == 0 for layer in layers)


def test_a_network_of_ones_own_takes_initialize_and_forward():
    class Mine(BaseNetwork):
        def initialize(self):
            self.layer = torch.nn.Linear(5, 1)

        def forward(self, x, a=None):
            return self.layer(torch.cat([x, a], dim=1))

    net, x, a = Mine(), torch.randn(3, 4), torch.randn(3, 1)
    torch.testing.assert_close(net.decode(net.encode(x, a)), net(x, a))
