"""Apprenticeship learning: the geometry by hand, and gridworlds that value iteration solves exactly."""

import csv

import numpy as np
import pytest
import torch

import ilpyt
from ilpyt.agents import DQNAgent, PolicyMixture
from ilpyt.algos import DQN, PPO, AppL, Apprentice
from ilpyt.algos.apprentice import feature_expectations
from ilpyt.nets import FeatureMap, choose_net
from ilpyt.runners import Experiences, Runner
from ilpyt.utils.errors import DataError
from ilpyt.utils.feature_matching import FeatureMatching, closest_mixture, project
from ilpyt.utils.seed_utils import set_seed
from tests.conftest import ROOT
from tests.seek import Seek, Seeker

GAMMA = 0.9
DEMOS = ROOT / "demos/CartPole-v0/demos.pkl"


class Grid:
    """6 x 6 cells, four moves of which three in ten go astray, a feature for each 2 x 2 block, all solved exactly."""

    size, cells, features = 6, 36, 9

    def __init__(self):
        self.moves = np.zeros((4, self.cells, self.cells))
        for cell in range(self.cells):
            row, column = divmod(cell, self.size)
            for a, (dr, dc) in enumerate([(0, 1), (1, 0), (0, -1), (-1, 0)]):
                r, c = np.clip(row + dr, 0, self.size - 1), np.clip(column + dc, 0, self.size - 1)
                self.moves[a, cell, r * self.size + c] = 1.0
        self.moves = 0.7 * self.moves + 0.3 * self.moves.mean(0)
        self.phi = np.zeros((self.cells, self.features))
        for cell in range(self.cells):
            row, column = divmod(cell, self.size)
            self.phi[cell, row // 2 * 3 + column // 2] = 1.0

    def optimal(self, weights):
        """Feature expectations of the optimal policy for a reward, from a uniform start."""
        value = np.zeros(self.cells)
        for _ in range(300):
            q = self.phi @ weights + GAMMA * self.moves @ value
            value = q.max(0)
        transition = self.moves[q.argmax(0), np.arange(self.cells)]
        visits = np.linalg.solve(np.eye(self.cells) - GAMMA * transition.T, np.full(self.cells, 1 / self.cells))
        return visits @ self.phi


@pytest.mark.parametrize("method", ["projection", "max-margin"])
@pytest.mark.parametrize("seed", range(5))
def test_on_a_gridworld_the_margin_falls_under_epsilon_and_so_does_the_mixture(method, seed):
    grid, rng = Grid(), np.random.default_rng(seed)
    expert = grid.optimal(rng.normal(size=grid.features) * (rng.random(grid.features) < 0.5))
    epsilon = 1e-2
    matching = FeatureMatching(expert, method)
    matching.add(grid.optimal(rng.normal(size=grid.features)))
    margins = [matching.margin]
    while matching.margin > epsilon and len(margins) < 300:
        matching.add(grid.optimal(matching.weights))
        margins.append(matching.margin)
    assert margins[0] > 0.3
    assert margins[-1] <= epsilon
    assert np.diff(margins).max() <= 1e-9
    mixed = matching.mixture() @ np.stack(matching.policies)
    assert np.linalg.norm(mixed - expert) <= epsilon + 1e-9


def test_the_projection_is_the_papers_by_hand():
    # (1, 1) onto the line through (0, 0) and (2, 0) is (1, 0)
    np.testing.assert_allclose(project(np.array([1.0, 1.0]), np.zeros(2), np.array([2.0, 0.0])), [1.0, 0.0])
    # mu_E = (3, 4), mu bar = (1, 0), mu = (2, 2): share (1, 2).(2, 4) / 5 = 2, cut at 1
    np.testing.assert_allclose(project(np.array([3.0, 4.0]), np.array([1.0, 0]), np.array([2.0, 2.0])), [2.0, 2.0])
    # a policy that is farther from the expert in the same direction adds nothing
    np.testing.assert_allclose(project(np.array([3.0, 4.0]), np.array([1.0, 0]), np.array([0.0, -2.0])), [1.0, 0.0])
    same = np.array([1.0, 2.0])
    np.testing.assert_array_equal(project(np.array([3.0, 4.0]), same, same.copy()), same)  # no nan


def test_weights_point_from_the_mixture_to_the_expert():
    matching = FeatureMatching(np.array([3.0, 4.0]))
    matching.add(np.array([0.0, 0.0]))
    np.testing.assert_allclose(matching.weights, [0.6, 0.8])
    assert matching.margin == pytest.approx(5)
    matching.add(np.array([3.0, 4.0]))
    assert matching.margin == 0
    assert np.isfinite(matching.weights).all()


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e5])
@pytest.mark.parametrize("seed", range(30))
def test_the_closest_mixture_satisfies_the_conditions_of_an_optimum(seed, scale):
    rng = np.random.default_rng(seed)
    policies = scale * rng.normal(size=(rng.integers(1, 40), rng.choice([1, 3, 6, 512])))
    policies = np.concatenate([policies, policies[:1]])  # a duplicate
    expert = policies.mean(0) if seed % 3 == 0 else 3 * scale * rng.normal(size=policies.shape[1])
    mixture = closest_mixture(expert, policies)
    assert mixture.min() >= 0
    assert mixture.sum() == pytest.approx(1)
    residual = expert - mixture @ policies
    # No vertex lies on the expert's side of the plane through the point (Karush-Kuhn-Tucker, sufficient: it's convex).
    size = np.linalg.norm(policies - expert, axis=1).max() ** 2
    assert ((policies - mixture @ policies) @ residual).max() <= 1e-7 * size
    others = rng.dirichlet(np.full(len(policies), 0.3), size=500)
    distances = np.linalg.norm(expert - others @ policies, axis=1)
    assert np.linalg.norm(residual) <= distances.min() + 1e-7 * np.sqrt(size)


def test_feature_expectations_are_discounted_sums_over_episodes():
    states = np.arange(5.0)[:, None]
    dones = [False, False, True, False, False]  # an unfinished last one counts
    episodes = Experiences(states, np.zeros(5, int), np.zeros(5), dones)
    mu = feature_expectations(episodes, lambda s, a: torch.cat([s, torch.ones_like(s)], 1), 0.5)
    first, second = 0 + 0.5 * 1 + 0.25 * 2, 3 + 0.5 * 4
    np.testing.assert_allclose(mu, [(first + second) / 2, (1.75 + 1.5) / 2])


@pytest.fixture(scope="module")
def env():
    with ilpyt.envs.build_env("CartPole-v0", num_env=8) as env:
        yield env


def test_features_are_what_their_names_say(env):
    states, actions = torch.randn(5, 4), torch.tensor([0, 1, 1, 0, 1])
    x = torch.cat([states, torch.nn.functional.one_hot(actions, 2).float()], 1)

    def phi(kind, **kwargs):
        return FeatureMap(env, kind, normalize=False, **kwargs)(states, actions)

    torch.testing.assert_close(phi("identity"), x)
    torch.testing.assert_close(phi("sigmoid", with_actions=False), torch.sigmoid(states))
    quadratic = phi("quadratic")
    assert quadratic.shape == (5, 1 + 6 + 21)
    matrix = torch.randn(6, 6)
    form = 2.0 + x @ torch.ones(6) + torch.einsum("bi,ij,bj->b", x, matrix, x)
    coefficients = [2.0, *[1.0] * 6]
    symmetric = matrix + matrix.T
    coefficients += [(matrix[i, i] if i == j else symmetric[i, j]).item() for i in range(6) for j in range(i, 6)]
    torch.testing.assert_close(quadratic @ torch.tensor(coefficients), form)
    many = FeatureMap(env, "fourier", normalize=False, num_features=40_001, bandwidth=1.0, with_actions=False)
    features = many(states, actions)
    assert features.shape == (5, many.num_features)
    kernel = torch.exp(-(torch.cdist(states, states) ** 2) / (2 * 2.0**2))
    torch.testing.assert_close(features[:, 1:] @ features[:, 1:].T, kernel, atol=0.03, rtol=0)
    assert (features[:, 0] == 1).all()
    normalised = FeatureMap(env, "identity", with_actions=False)
    shifted = 100 + 7 * torch.randn(5000, 4)
    normalised.observe(shifted)
    assert normalised(shifted, actions).mean().abs() < 1e-3
    with pytest.raises(ValueError, match="features must be one of 'identity', .* got 'cubic'"):
        FeatureMap(env, "cubic")


def make(env, **kwargs):
    set_seed(0)
    agent = PPO.make_agent(env, net={"hidden_sizes": (64, 64)}, lr=1e-3, gamma=0.98, batch_size=256, reward_scale=0.5)
    return AppL(env=env, agent=agent, progress=False, **kwargs)


def column(name):
    with open("logs/progress.csv", newline="") as file:
        return [float(row[name]) for row in csv.DictReader(file) if row[name]]


def seek(monkeypatch=None):
    """AppL on a task in which lasting long is no merit."""
    set_seed(0)
    env = ilpyt.envs.build_env(Seek, num_env=8)
    demos = Runner(env, Seeker()).generate_episodes(400)  # fewer leave a margin by chance
    agent = PPO.make_agent(env, net={"hidden_sizes": (32, 32)}, lr=1e-3, gamma=0.95, batch_size=128)
    if monkeypatch is not None:
        monkeypatch.setattr(AppL, "_reward", lambda self, phi: lambda batch: torch.ones(len(batch.states)))
    algo = AppL(env=env, agent=agent, progress=False)
    iterations = 12 if monkeypatch is None else 3
    algo.train(iterations, batch_size=40, num_train=8, expert_demos=demos, evaluation_episodes=200)
    return np.mean(algo.test(100))


def test_it_learns_to_seek_without_rewards(monkeypatch):
    assert seek() > -5  # the expert: -2.2
    margins = column("margin")
    assert np.diff(margins).max() <= 1e-9
    assert margins[-1] < 0.3 * margins[0]
    assert seek(monkeypatch) < -8


@pytest.mark.parametrize("warm_start", [True, False])
def test_the_environments_rewards_change_nothing(env, monkeypatch, warm_start):
    def weights(reward):
        algo = make(env)
        generate = algo.runner.generate_batch

        def generate_batch(steps):
            batch = generate(steps)
            return batch.replace(rewards=torch.full_like(batch.rewards, reward))

        algo.runner.generate_batch = generate_batch
        env.reset(0)
        algo.train(2, batch_size=8, num_train=2, expert_demos=DEMOS, evaluation_episodes=5, warm_start=warm_start)
        return torch.cat([p.flatten() for _, net in algo.agent.named_nets() for p in net.parameters()])

    assert torch.equal(weights(0.0), weights(np.nan))


def test_the_learner_is_rewarded_by_what_the_expert_does_more_than_it():
    """phi = the action: the expert takes 1 in 3 of 4 steps, the first policy always 0, so w . phi prefers 1."""
    env = ilpyt.envs.build_env("CartPole-v0", num_env=2)
    algo = AppL(env=env, agent=PPO.make_agent(env), progress=False)
    algo.agent.step = lambda state: np.zeros(len(state), dtype=np.int64)
    seen = []
    algo.agent.learn = lambda batch: seen.append(batch) or {}
    demos = Experiences(np.zeros((8, 4)), [1, 1, 1, 0] * 2, np.zeros(8), [False, False, False, True] * 2)
    algo.train(
        1, 0.0, num_train=1, batch_size=4, expert_demos=demos, evaluation_episodes=2,
        features=lambda s, a: torch.nn.functional.one_hot(a, 2).float(),
    )  # fmt: skip
    w = algo.matching.expert - algo.matching.policies[0]
    assert w[1] > 0 > w[0]
    expected = (w / np.linalg.norm(w))[seen[0].actions.numpy()]
    np.testing.assert_allclose(seen[0].rewards.numpy(), expected, rtol=1e-5)


def test_the_policy_closest_to_the_expert_is_kept_and_the_mixture_comes_closest(env, monkeypatch):
    algo = make(env)
    algo.train(4, batch_size=32, num_train=4, expert_demos=DEMOS, evaluation_episodes=10)
    distances = algo.matching.distances()
    assert len(distances) == 5
    kept = {name: net.state_dict() for name, net in algo.agent.named_nets()}
    best = algo._policies[int(distances.argmin())]
    assert all(torch.equal(kept[name][key], best[name][key]) for name in kept for key in kept[name])
    mixed = algo.matching.mixture() @ np.stack(algo.matching.policies)
    assert np.linalg.norm(mixed - algo.matching.expert) <= distances.min() + 1e-9
    probabilities = algo.matching.mixture()
    assert algo.mixture.probabilities == pytest.approx(probabilities[probabilities > 0])
    for k, member in zip(np.flatnonzero(probabilities), algo.mixture.agents.values(), strict=True):
        assert torch.equal(member.actor.layers[0].weight, algo._policies[k]["actor"]["layers.0.weight"])


def test_each_member_of_the_mixture_has_its_own_weights_and_probability(env):
    algo = make(env)
    algo._policies = []
    for k in range(3):
        with torch.no_grad():
            algo.agent.actor.layers[0].bias.fill_(k)
        algo._policies.append(algo.agent.get_weights())
    algo.matching = FeatureMatching(np.array([0.75, 0.0]))
    for policy in ([0.0, 0.0], [0.3, 5.0], [1.0, 0.0]):
        algo.matching.add(np.array(policy))
    algo._select("best", has_reached=False)
    assert algo.mixture.probabilities == pytest.approx([0.25, 0.75])
    assert [member.actor.layers[0].bias[0].item() for member in algo.mixture.agents.values()] == [0, 2]
    assert algo._best == 2
    assert algo.agent.actor.layers[0].bias[0] == 2


def test_a_mixture_follows_one_policy_in_each_environment(env):
    class Constant(DQNAgent):
        def step(self, state):
            return np.full(len(state), self.action)

    policies = [Constant(choose_net(env)) for _ in range(3)]
    for action, policy in enumerate(policies):
        policy.action = action
    set_seed(0)
    mixture = PolicyMixture(policies, [0.2, 0.0, 0.8])
    first = mixture.step(torch.zeros(1000, 4))
    assert np.array_equal(first, mixture.step(torch.zeros(1000, 4)))
    assert np.bincount(first, minlength=3) / 1000 == pytest.approx([0.2, 0, 0.8], abs=0.05)
    mixture.reset()
    assert not np.array_equal(first, mixture.step(torch.zeros(1000, 4)))
    with pytest.raises(ValueError, match="as many probabilities that sum to 1"):
        PolicyMixture(policies, [0.5, 0.2, 0.2])


def test_select_mixture_is_what_test_plays(env):
    algo = make(env)
    algo.train(2, batch_size=8, num_train=1, expert_demos=DEMOS, evaluation_episodes=5, select="mixture")
    played = []
    step = PolicyMixture.step
    try:
        PolicyMixture.step = lambda self, state: played.append(1) or step(self, state)
        algo.test(2)
    finally:
        PolicyMixture.step = step
    assert played


def test_dqn_learns_from_the_newest_reward(env):
    set_seed(0)
    agent = DQN.make_agent(env, learning_starts=100_000, reward_scale=0.5, batch_size=200)
    algo = AppL(env=env, agent=agent, progress=False)
    agent.step = lambda state: np.full(len(state), len(algo.matching.policies) % 2)  # policies that differ
    phi = FeatureMap(env, num_features=9)
    weights = []
    reward = algo._reward
    algo._reward = lambda features: weights.append(algo.matching.weights) or reward(features)
    algo.train(3, 0.0, batch_size=20, num_train=2, expert_demos=DEMOS, evaluation_episodes=5, features=phi)
    sample = agent.sample()
    worth = 0.5 * phi(sample.states, sample.actions) @ torch.as_tensor(weights[-1], dtype=torch.float32)
    torch.testing.assert_close(sample.rewards, worth)
    assert not np.allclose(weights[0], weights[-1])


def test_a_cold_start_begins_each_time_where_the_first_began(env):
    beginnings = {}
    for warm_start in (True, False):
        algo = make(env)
        learn, seen = algo.agent.learn, []
        algo.agent.learn = lambda batch, algo=algo, learn=learn, seen=seen: (
            seen.append(algo.agent.actor.layers[0].weight.detach().clone()) or learn(batch)
        )
        algo.train(3, 0.0, batch_size=8, num_train=1, expert_demos=DEMOS, evaluation_episodes=5, warm_start=warm_start)
        beginnings[warm_start] = [torch.equal(seen[0], weight) for weight in seen]
    assert beginnings == {True: [True, False, False], False: [True, True, True]}


def test_epsilon_ends_it(env):
    algo = make(env)
    algo.train(5, 1e9, batch_size=8, num_train=1, expert_demos=DEMOS, evaluation_episodes=5)
    assert len(column("margin")) == 1


def test_until_keeps_the_policy_that_reached_it_not_the_closest(env, monkeypatch):
    algo = make(env)
    monkeypatch.setattr(FeatureMatching, "distances", lambda self: np.arange(len(self.policies), dtype=float))
    algo.train(5, 0.0, batch_size=8, num_train=1, expert_demos=DEMOS, evaluation_episodes=5, until=1.0)
    assert algo._best == 1  # the first is closest


def test_features_are_shown_the_experts_states_first(env):
    algo = make(env)
    algo.train(
        1, batch_size=8, num_train=1, expert_demos=DEMOS, evaluation_episodes=5, features=(phi := FeatureMap(env))
    )
    torch.testing.assert_close(phi.normalizer.mean, Experiences.load(DEMOS).states.mean(0), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (lambda s, a: s.sum(1), r"features must give a tensor \[B, K\].* for 4096 they gave \[4096\]"),
        (lambda s, a: s[:1], r"for 4096 they gave \[1, 4\]"),
        (lambda s, a: s.numpy(), "they gave ndarray"),
        (lambda s, a: s / 0, r"features gave nan or infinity for state \["),
    ],
)
def test_bad_features_are_errors_before_anything_is_played(env, features, message):
    algo = make(env)
    with pytest.raises(DataError, match=message):
        algo.train(1, expert_demos=DEMOS, features=features)
    assert algo.runner.env_steps == 0


@pytest.mark.parametrize(
    "features",
    [lambda s, a: torch.nn.functional.one_hot(a, 2), lambda s, a: s.double(), lambda s, a: 1e4 * s],
    ids=["int64", "float64", "large"],
)
def test_features_of_any_type_and_size_work(env, features):
    algo = make(env)
    algo.train(6, batch_size=8, num_train=1, expert_demos=DEMOS, evaluation_episodes=5, features=features)
    assert algo.matching.mixture().sum() == pytest.approx(1)


def test_an_interrupt_before_the_first_policy_leaves_the_agent_to_be_tested(env):
    algo = make(env)
    algo._evaluate = lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        algo.train(2, expert_demos=DEMOS, select="mixture")
    assert len(algo.test(2)) == 2


def test_arguments_that_dont_fit_are_errors(env):
    assert Apprentice is AppL
    algo = make(env)
    with pytest.raises(TypeError, match="needs expert_demos"):
        algo.train()
    with pytest.raises(ValueError, match=r"gamma is 0.5, the agent's is 0.98; they must be the same"):
        algo.train(gamma=0.5, expert_demos=DEMOS)
    with pytest.raises(ValueError, match="select must be 'best' or 'mixture', got 'last'"):
        algo.train(expert_demos=DEMOS, select="last")
    with pytest.raises(ValueError, match="method must be 'projection' or 'max-margin'"):
        algo.train(expert_demos=DEMOS, method="svm")
    with pytest.raises(ValueError, match="epsilon must be at least 0"):
        algo.train(expert_demos=DEMOS, epsilon=-1)
    for name in ("num_episodes", "num_train", "batch_size", "evaluation_episodes"):
        with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
            algo.train(expert_demos=DEMOS, **{name: 0})
