"""Behavioral cloning, against problems whose solution is known."""

import csv

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces

import ilpyt
from ilpyt.agents import ImitationAgent
from ilpyt.algos import BC
from ilpyt.nets import choose_net
from ilpyt.runners import Experiences, Runner
from ilpyt.utils.errors import DataError, TrainingError
from ilpyt.utils.seed_utils import set_seed


class Spaces(gymnasium.Env):
    """Has spaces, and nothing that works: cloning doesn't step it."""

    def __init__(self, observation_size, action_space):
        self.observation_space = spaces.Box(-np.inf, np.inf, (observation_size,), np.float32)
        self.action_space = action_space

    def reset(self, *, seed=None, options=None):
        raise AssertionError("behavioral cloning has no business in the environment")

    step = reset


def build(observation_size, action_space):
    return ilpyt.envs.build_env(lambda: Spaces(observation_size, action_space), num_env=1)


def episodes(states, actions, length=10):
    dones = np.arange(1, len(states) + 1) % length == 0
    return Experiences(states, actions, np.zeros(len(states)), dones)


def cloner(env, lr=1e-3, **net_kwargs):
    return BC(agent=ImitationAgent(choose_net(env, **net_kwargs), lr=lr), env=env, progress=False)


def column(name):
    with open("logs/progress.csv", newline="") as file:
        return [float(row[name]) for row in csv.DictReader(file)]


def weights(algo):
    return torch.cat([p.flatten() for p in algo.agent.net.state_dict().values()])


@pytest.fixture
def noisy_choices():
    """300 transitions whose action depends on the state, but not only."""
    rng = np.random.default_rng(0)
    states = rng.normal(size=(300, 3))
    return episodes(states, (states[:, 0] + 0.7 * rng.normal(size=300) > 0).astype(int))


def test_a_linear_net_recovers_the_least_squares_policy():
    rng = np.random.default_rng(0)
    states = rng.normal(size=(400, 3)).astype(np.float32)
    actions = states @ rng.normal(size=(3, 2)) + [0.3, -0.2] + 0.1 * rng.normal(size=(400, 2))
    solution = np.linalg.lstsq(np.c_[states, np.ones(400)], actions, rcond=None)[0]
    algo = cloner(build(3, spaces.Box(-10, 10, (2,))), lr=0.02, hidden_sizes=())
    algo.train(num_epochs=1500, batch_size=400, expert_demos=episodes(states, actions), early_stopping=False)
    (layer,) = algo.agent.net.layers
    np.testing.assert_allclose(layer.weight.detach().T, solution[:3], atol=2e-3)
    np.testing.assert_allclose(layer.bias.detach(), solution[3], atol=2e-3)
    residuals = actions - np.c_[states, np.ones(400)] @ solution
    np.testing.assert_allclose(algo.agent.net.log_std.detach().exp(), residuals.std(0), rtol=0.02)


def test_tabular_cloning_recovers_the_empirical_action_frequencies():
    rng = np.random.default_rng(0)
    where = rng.integers(0, 4, 600)
    actions = np.array([rng.choice(3, p=p) for p in rng.dirichlet([1, 1, 1], 4)[where]])
    counts = np.zeros((4, 3))
    np.add.at(counts, (where, actions), 1)
    algo = cloner(build(4, spaces.Discrete(3)), lr=0.05, hidden_sizes=())
    algo.train(num_epochs=600, batch_size=600, expert_demos=episodes(np.eye(4)[where], actions), early_stopping=False)
    probabilities = algo.agent.net(torch.eye(4)).softmax(1).detach().numpy()
    np.testing.assert_allclose(probabilities, counts / counts.sum(1, keepdims=True), atol=5e-3)


def test_early_stopping_restores_the_weights_that_were_best_on_held_out_episodes(noisy_choices, monkeypatch):
    held_out = []
    original = Experiences.split
    monkeypatch.setattr(Experiences, "split", lambda *args: held_out.append(original(*args)) or held_out[-1])
    set_seed(0)
    algo = cloner(build(3, spaces.Discrete(2)), lr=0.01)
    algo.train(num_epochs=500, batch_size=32, expert_demos=noisy_choices, patience=20)
    losses = column("validation_loss")
    best = int(np.argmin(losses))
    assert best < len(losses) - 1
    assert len(losses) == best + 1 + 20
    metrics = algo.agent.validate(held_out[0][1])
    assert metrics["validation_loss"] == pytest.approx(min(losses), rel=1e-4)
    assert metrics["validation_error"] == pytest.approx(column("validation_error")[best], abs=1e-6)
    assert column("loss")[-1] < column("loss")[best] - 0.01  # the training loss went on falling: it is no guide
    assert algo.agent.optimizers["net"].param_groups[0]["lr"] == 0.01


def test_training_and_held_out_episodes_are_disjoint_and_whole():
    states = np.repeat(np.arange(20), 5)[:, None]
    set_seed(0)
    first, second = episodes(states, np.zeros(100), length=5).split(0.1)
    sides = [set(side.states[:, 0].tolist()) for side in (first, second)]
    assert [len(side) for side in sides] == [18, 2]
    assert not sides[0] & sides[1]
    assert (len(first), len(second)) == (90, 10)
    assert second.dones.sum() == 2


@pytest.mark.parametrize(("fraction", "n"), [(0.01, 1), (0.99, 1), (0.5, 1)])
def test_each_side_of_a_split_has_an_episode(fraction, n):
    sides = episodes(np.zeros((10, 1)), np.zeros(10), length=5).split(fraction)
    assert [len(side.bounds()) for side in sides] == [1, n]
    with pytest.raises(ValueError, match="can't split off 0.5 of 1 episodes"):
        sides[0].split(0.5)


def test_without_early_stopping_all_transitions_are_learnt_from_in_all_epochs(noisy_choices, monkeypatch):
    seen = []
    original = ImitationAgent.update
    monkeypatch.setattr(ImitationAgent, "update", lambda self, b: seen.append(b.states) or original(self, b))
    cloner(build(3, spaces.Discrete(2))).train(3, 64, noisy_choices, early_stopping=False)
    assert len(seen) == 3 * 5
    for epoch in range(3):
        states = torch.cat(seen[5 * epoch : 5 * epoch + 5])
        assert torch.equal(states.sort(0)[0], noisy_choices.states.sort(0)[0])
    assert not torch.equal(seen[0], seen[5])


def test_same_seed_same_weights_bit_for_bit(noisy_choices):
    results = []
    for seed in (0, 0, 1):
        set_seed(seed)
        algo = cloner(build(3, spaces.Discrete(2)))
        algo.train(10, 32, noisy_choices)
        results.append(weights(algo))
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[0], results[2])


def test_the_input_is_normalised_by_the_demonstrations():
    states = np.random.default_rng(0).normal(5, 0.01, (100, 2))
    algo = cloner(build(2, spaces.Discrete(2)), normalize=True)
    algo.train(1, 32, episodes(states, np.zeros(100)), early_stopping=False)
    np.testing.assert_allclose(algo.agent.net.normalizer.mean, states.mean(0), rtol=1e-5)
    np.testing.assert_allclose(algo.agent.net.normalizer.variance, states.var(0), rtol=1e-2)


@pytest.mark.parametrize(
    ("num_episodes", "fraction", "held_out"), [(1, 0.5, 0), (9, 0.1, 0), (10, 0.1, 1), (3, 0.34, 1), (10, 0.5, 5)]
)
def test_a_share_of_less_than_an_episode_is_not_held_out(num_episodes, fraction, held_out, noisy_choices, monkeypatch):
    sizes = []
    original = ImitationAgent.validate
    monkeypatch.setattr(
        ImitationAgent, "validate", lambda self, batch: sizes.append(len(batch.bounds())) or original(self, batch)
    )
    said = []
    monkeypatch.setattr(BC, "say", lambda self, text: said.append(text))
    algo = cloner(build(3, spaces.Discrete(2)))
    algo.train(2, 32, noisy_choices[: noisy_choices.bounds()[num_episodes - 1][1]], validation_fraction=fraction)
    assert sizes == ([held_out] * 2 if held_out else [])
    assert (f"{num_episodes} episodes are too few to hold any out, so training takes all epochs." in said) != bool(
        held_out
    )
    assert len(column("loss")) == 2


def test_a_share_is_between_none_and_all(noisy_choices):
    for fraction in (0, 1, -0.1):
        with pytest.raises(ValueError, match="validation_fraction must be between 0 and 1"):
            cloner(build(3, spaces.Discrete(2))).train(1, 32, noisy_choices, validation_fraction=fraction)


def test_what_is_lenient_says_so(noisy_choices, caplog):
    env = build(3, spaces.Discrete(2))
    demos = noisy_choices[:25]
    demos.metadata = {"env_id": "Elsewhere-v3"}
    BC(agent=ImitationAgent(choose_net(env)), env=env, progress=False).train(1, 32, demos)
    assert "recorded in Elsewhere-v3; spaces agree, so it is used for Spaces" in caplog.text
    assert "ends amid an episode" in caplog.text


def test_a_loss_that_isnt_finite_stops_and_keeps_the_best_weights(noisy_choices, monkeypatch):
    algo = cloner(build(3, spaces.Discrete(2)))
    original = ImitationAgent.loss

    def loss(self, batch):
        return original(self, batch) * (np.nan if algo.epochs == 3 and torch.is_grad_enabled() else 1)

    monkeypatch.setattr(ImitationAgent, "loss", loss)
    with pytest.raises(TrainingError, match="the net loss is nan"):
        algo.train(10, 32, noisy_choices)
    fresh = cloner(build(3, spaces.Discrete(2)))
    assert fresh.agent.load("logs") == 3
    assert torch.equal(weights(fresh), weights(algo))
    assert torch.isfinite(weights(fresh)).all()


@pytest.mark.parametrize("name", ["num_epochs", "batch_size", "patience", "save_interval"])
def test_nothing_to_do_is_an_error(name, noisy_choices):
    with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
        cloner(build(3, spaces.Discrete(2))).train(expert_demos=noisy_choices, **{name: 0})


def test_the_learning_rate_falls_while_the_policy_doesnt_become_better(noisy_choices, monkeypatch):
    losses = iter([1.0, 0.9, 0.8, *[3.0] * 12])
    rates = []
    original = ImitationAgent.update
    monkeypatch.setattr(ImitationAgent, "validate", lambda *_: {"validation_loss": next(losses)})
    monkeypatch.setattr(
        ImitationAgent,
        "update",
        lambda self, b: rates.append(self.optimizers["net"].param_groups[0]["lr"]) or original(self, b),
    )
    cloner(build(3, spaces.Discrete(2)), lr=1.0).train(100, 1000, noisy_choices, patience=9)
    assert rates == pytest.approx([1.0] * 7 + [0.2] * 4 + [0.04])  # the best was epoch 3


def test_bc_trains_imitation_agents_only():
    class Other(ImitationAgent.__base__):
        initialize = update = lambda self, *_: None
        step = lambda self, state: np.zeros(len(state), int)  # noqa: E731

    with pytest.raises(TypeError, match="BC trains agents of class ImitationAgent, not Other"):
        BC(agent=Other(), env=build(3, spaces.Discrete(2)), progress=False)


def test_bad_demonstrations_are_refused_before_anything_is_written(noisy_choices, tmp_path):
    algo = cloner(build(3, spaces.Discrete(2)))
    with pytest.raises(TypeError, match="needs expert_demos"):
        algo.train(5, 32)
    with pytest.raises(FileNotFoundError, match="no demonstrations at"):
        algo.train(expert_demos="nowhere.pkl")
    noisy_choices.save("three.npz")
    with pytest.raises(DataError, match=r"three.npz: a state has shape \[3\], in Spaces it has \[4\]"):
        cloner(build(4, spaces.Discrete(2))).train(expert_demos="three.npz")
    assert list((tmp_path / "logs").iterdir()) == []


def test_car_racing_rolls_out_records_and_clones():
    """Images and continuous actions, from the environment through a file to a network."""
    with ilpyt.envs.build_env("CarRacing-v3", num_env=2, max_episode_steps=12) as env:
        torch.manual_seed(0)
        agent = ImitationAgent(choose_net(env), lr=1e-3)
        batch = Runner(env, agent).generate_batch(3)
        assert batch.states.shape == (3, 2, 96, 96, 3)
        assert batch.states.dtype == torch.uint8
        assert batch.actions.shape == (3, 2, 3)
        demos = Runner(env, agent).generate_episodes(4)
        assert len(demos) == 48
        assert demos.truncated.sum() == 4
        demos.actions[:] = torch.tensor([0.5, 0.2, 0.0])
        demos.save("racing.npz")
        algo = BC(agent=agent, env=env, progress=False)
        algo.train(40, 16, "racing.npz", early_stopping=False)
        with agent.test_mode():
            np.testing.assert_allclose(agent.step(demos.states[::10]), demos.actions[::10], atol=0.1)
        assert len(algo.test(2)) == 2
