"""DAgger, where cloning must fail, and against cloning where both are the same."""

import csv

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces

import ilpyt
from ilpyt.agents import HeuristicAgent, ImitationAgent, MixtureAgent
from ilpyt.algos import BC, DAgger
from ilpyt.algos.dagger import Aggregate
from ilpyt.nets import choose_net
from ilpyt.runners import Experiences, Runner
from ilpyt.utils.errors import DataError, TrainingError
from ilpyt.utils.schedules import Exponential, Linear
from ilpyt.utils.seed_utils import set_seed
from tests.counter import Counter

FORWARD, BACK = 0, 1


class Corridor(gymnasium.Env):
    """Ten steps forward lead to the goal (reward 1), but one slips off the path: then forward is the end (reward 0)."""

    observation_space = spaces.Box(-1, 1, (2,), np.float32)
    action_space = spaces.Discrete(2)

    def __init__(self, slippery=0.3):
        self.slippery = slippery

    def observe(self):
        return np.array([self.x / 10, self.y], np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.x = self.y = self.t = 0
        return self.observe(), {}

    def step(self, action):
        self.t += 1
        lost = action == FORWARD and self.y != 0
        if action == FORWARD and not lost:
            self.x += 1
            if self.np_random.random() < self.slippery:
                self.y = int(self.np_random.choice([-1, 1]))
        elif action == BACK:
            self.y = 0
        return self.observe(), float(self.x >= 10), lost or self.x >= 10, self.t >= 40, {}


class Guide(HeuristicAgent):
    def act(self, state):
        return (state[:, 1] != 0).long()


def build(slippery=0.3, num_env=4, seed=0):
    return ilpyt.envs.build_env(lambda: Corridor(slippery), num_env=num_env, seed=seed)


def make(algo_class, env, *, normalize=False, **kwargs):
    set_seed(0)
    agent = ImitationAgent(choose_net(env, hidden_sizes=(16,), normalize=normalize), lr=1e-2)
    return algo_class(agent=agent, env=env, progress=False, **kwargs)


def weights(algo):
    return torch.cat([p.flatten() for p in algo.agent.net.state_dict().values()])


def column(name):
    with open("logs/progress.csv", newline="") as file:
        return [float(row[name]) for row in csv.DictReader(file)]


def test_dagger_learns_what_demonstrations_dont_show():
    """All that is shown is the path, so all that can be cloned is forward; off the path, that is the end."""
    straight = Runner(build(slippery=0.0), Guide()).generate_episodes(20)
    assert (straight.actions == FORWARD).all()
    clone = make(BC, build())
    clone.train(50, 32, straight, early_stopping=False)
    assert np.mean(clone.test(200)) < 0.1  # 0.7^9 = 0.04 of the episodes don't slip before the goal
    dagger = make(DAgger, build())
    dagger.train(10, 32, 5, 20, Guide(), expert_demos=straight)
    assert np.mean(dagger.test(200)) == 1.0


@pytest.mark.parametrize("normalize", [False, True])
def test_with_the_expert_acting_it_is_cloning_bit_for_bit(normalize):
    env, twin = build(), build()
    clone, dagger = make(BC, twin, normalize=normalize), make(DAgger, env, normalize=normalize)
    batch = Runner(twin, Guide()).generate_batch(50).flatten()
    shown = Experiences(batch.states, batch.actions, batch.rewards, batch.dones)
    set_seed(1)
    clone.train(7, 32, shown, early_stopping=False)
    set_seed(1)
    dagger.train(1, 32, 7, 50, Guide(), beta=1.0)
    assert torch.equal(weights(clone), weights(dagger))


def test_with_the_expert_acting_for_ever_it_is_cloning_of_more_and_more():
    env, twin = build(), build()
    clone, dagger = make(BC, twin), make(DAgger, env)
    batch = Runner(twin, Guide()).generate_batch(60)
    set_seed(1)
    for steps in (20, 40, 60):
        parts = [batch.replace(**{n: t[k : k + 20] for n, t in batch.tensors().items()}) for k in range(0, steps, 20)]
        flat = [part.flatten() for part in parts]
        fields = [torch.cat([getattr(f, name) for f in flat]) for name in ("states", "actions", "rewards", "dones")]
        clone.train(3, 32, Experiences(*fields), early_stopping=False)
    last = weights(clone)
    dagger.agent.validate = lambda _: {"validation_loss": -float(dagger.runner.env_steps), "validation_error": 0.0}
    set_seed(1)
    dagger.train(3, 32, 3, 20, Guide(), beta=1.0)
    assert torch.equal(last, weights(dagger))


def test_every_label_is_the_experts_also_where_the_learner_acted(monkeypatch):
    added = []
    original = Aggregate.add
    monkeypatch.setattr(Aggregate, "add", lambda self, s, a: added.append((s, a)) or original(self, s, a))
    acted = []
    env = build()
    step = env.step
    env.step = lambda actions: acted.append(actions.copy()) or step(actions)
    dagger = make(DAgger, env)
    dagger.train(4, 32, 1, 30, Guide(), beta=Linear(1, 0, 2))
    assert len(added) == 4
    for states, labels in added:
        assert torch.equal(labels, Guide().act(states))
    differs = (torch.cat([labels for _, labels in added]).numpy() != np.concatenate(acted)).reshape(4, -1).mean(1)
    assert differs[0] == 0  # beta 1
    assert differs[1:].max() > 0.05


def test_a_coin_for_each_environment_and_step():
    class Zeros(HeuristicAgent):
        def act(self, state):
            return torch.zeros(len(state), dtype=torch.int64)

    set_seed(0)
    mixture = MixtureAgent(lambda states: np.ones(len(states), int), Zeros(), beta=0.3)
    actions = np.stack([mixture.step(torch.zeros(50, 2)) for _ in range(200)])
    assert actions.mean() == pytest.approx(0.3, abs=0.02)
    assert 0.05 < actions.mean(1).std() < 0.08  # sqrt(0.3 * 0.7 / 50) = 0.065; a coin for all would give 0.46
    for beta in (0.0, 1.0):
        mixture.beta = beta
        assert (mixture.step(torch.zeros(50, 2)) == beta).all()


def test_beta_goes_by_iteration():
    make(DAgger, build()).train(3, 32, 1, 5, Guide())
    assert column("beta") == [1, 0, 0]
    make(DAgger, build()).train(3, 32, 1, 5, Guide(), beta=Exponential(0.5))
    assert column("beta") == [1, 0.5, 0.25]


def test_any_function_is_an_expert():
    dagger = make(DAgger, build())
    dagger.train(6, 32, 5, 20, lambda states: [int(y != 0) for _, y in states.tolist()])
    assert np.mean(dagger.test(50)) == 1.0


def test_it_keeps_the_iteration_that_agreed_with_the_expert_best_on_its_own_states(monkeypatch):
    losses, seen = iter([0.5, 0.2, 0.9, 0.4]), []
    dagger = make(DAgger, build())

    def validate(batch):
        assert torch.equal(batch.actions, Guide().act(batch.states))
        seen.append(weights(dagger))
        return {"validation_loss": next(losses), "validation_error": 0.0}

    monkeypatch.setattr(dagger.agent, "validate", validate)
    dagger.train(4, 32, 1, 20, Guide())
    assert torch.equal(weights(dagger), seen[1])


def test_until_ends_it_and_keeps_what_reached_it(monkeypatch):
    dagger = make(DAgger, build())
    losses = iter([0.1, *[0.5] * 20])
    monkeypatch.setattr(dagger.agent, "validate", lambda _: {"validation_loss": next(losses), "validation_error": 0.0})
    dagger.train(20, 32, 5, 20, Guide(), until=1.0)
    returns = column("evaluation/return")
    assert 1 < len(returns) < 20
    assert returns[-1] == 1.0
    assert np.mean(dagger.test(20)) == 1.0


def test_the_learner_acts_greedily_and_so_does_an_expert_that_is_an_agent():
    env = build()
    dagger = make(DAgger, env)
    set_seed(1)
    expert = ImitationAgent(choose_net(env, hidden_sizes=(16,)))
    modes = []
    for name, agent in (("learner", dagger.agent), ("expert", expert)):
        step = agent.step
        agent.step = lambda state, name=name, agent=agent, step=step: (
            modes.append((name, agent.training)) or step(state)
        )
    dagger.train(2, 32, 1, 10, expert, beta=0.5)
    assert set(modes) == {("learner", False), ("expert", False)}
    assert expert.training  # as it was


def test_demonstrations_are_learnt_from_beside_what_was_asked():
    shown = Experiences(np.full((300, 2), [0.0, 5.0]), np.zeros(300, int), np.zeros(300), np.arange(1, 301) % 10 == 0)
    dagger = make(DAgger, build(), normalize=True)
    dagger.train(1, 32, 20, 20, Guide(), expert_demos=shown)
    assert len(dagger.aggregate) == 380
    torch.testing.assert_close(dagger.agent.net.normalizer.mean, dagger.aggregate.states.mean(0))
    with torch.no_grad():
        assert dagger.agent.net(torch.tensor([[0.0, 5.0]])).argmax() == FORWARD  # the guide says back


def test_a_second_call_learns_from_the_answers_of_the_first_too():
    dagger = make(DAgger, build())
    dagger.train(2, 32, 1, 20, Guide())
    first = dagger.aggregate.states.clone()
    dagger.train(1, 32, 1, 20, Guide())
    assert len(dagger.aggregate) == 240
    assert torch.equal(dagger.aggregate.states[:160], first)


def test_all_that_the_expert_was_asked_is_counted():
    asked = []
    make(DAgger, build()).train(2, 32, 1, 20, lambda s: asked.append(len(s)) or Guide().act(s), validation_episodes=5)
    assert column("expert/queries")[-1] == sum(asked)


def test_beta_is_a_probability():
    with pytest.raises(ValueError, match=r"beta must be in 0..1, it is 3.0 in iteration 0"):
        make(DAgger, build()).train(2, 32, 1, 20, Guide(), beta=3)


def test_the_aggregate_overwrites_the_oldest():
    aggregate = Aggregate(5)
    for start in (0, 3, 6):
        aggregate.add(torch.arange(start, start + 3)[:, None], torch.arange(start, start + 3))
    assert len(aggregate) == 5
    assert sorted(aggregate.actions.tolist()) == [4, 5, 6, 7, 8]
    assert torch.equal(aggregate.states[:, 0], aggregate.actions)
    aggregate.add(torch.arange(20, 40)[:, None], torch.arange(20, 40))
    assert sorted(aggregate.actions.tolist()) == [35, 36, 37, 38, 39]


def test_max_mem_caps_what_is_learnt_from():
    make(DAgger, build(), max_mem=100).train(4, 32, 1, 20, Guide())
    assert column("states") == [80, 100, 100, 100]
    with pytest.raises(ValueError, match="max_mem must be at least 1, got 0"):
        make(DAgger, build(), max_mem=0)


def test_rewards_play_no_part():
    def trained(reward):
        faults = {k: (lambda: (np.array([0.3, 0.7], np.float32), reward)) for k in range(1000)}
        with ilpyt.envs.build_env(lambda: Counter(5, faults=faults), num_env=2) as env:
            algo = make(DAgger, env)
            algo.train(3, 16, 2, 10, lambda states: torch.ones(len(states), dtype=torch.int64))
            return weights(algo)

    assert torch.equal(trained(0.0), trained(1e6))


def test_worker_processes_make_no_difference():
    def trained(vecenv_type):
        with ilpyt.envs.build_env(lambda: Counter(5), num_env=2, vecenv_type=vecenv_type) as env:
            algo = make(DAgger, env)
            algo.train(1, 16, 1, 5, lambda states: torch.ones(len(states), dtype=torch.int64), validation_episodes=2)
            return weights(algo)

    assert torch.equal(trained("dummy"), trained("subproc"))


@pytest.mark.parametrize(
    ("expert", "message"),
    [
        (lambda s: 1 / 0, r"the expert fails on states of shape \[\d+, 2\].*ZeroDivisionError"),
        (lambda s: np.zeros(len(s) + 3, int), r"int64 actions of shape \[\d+\] for states of shape \[\d+, 2\]"),
        (lambda s: 1, "one action a state"),
        (lambda s: np.zeros((len(s), 1), int), r"gives int64 actions of shape \[1\]; .* takes \[\] \(Discrete\(2\)\)"),
        (lambda s: np.zeros((len(s), 2)), r"gives float32 actions of shape \[2\]; .* takes \[\] \(Discrete\(2\)\)"),
        (lambda s: np.full(len(s), 0.5), "float32 actions of shape"),
        (lambda s: np.full(len(s), np.nan), "gives the action nan in state"),
        (lambda s: np.full(len(s), 7), r"gives the action 7, out of range for Corridor"),
        (lambda s: ["left"] * len(s), "it must give one action a state, numbers"),
    ],
)
@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0])
def test_a_bad_expert_is_an_error_whoever_acts(expert, message, beta):
    dagger = make(DAgger, build())
    with pytest.raises(DataError, match=message):
        dagger.train(2, 32, 1, 20, expert, beta=beta)
    assert dagger.runner.agent is dagger.agent


def test_continuous_labels_are_what_the_environment_makes_of_them():
    box = spaces.Box(-1, 1, (1,), np.float32)
    env = ilpyt.envs.build_env(lambda: Counter(5, action_space=box), num_env=2)
    algo = make(DAgger, env)
    seen = []
    algo.agent.validate = lambda b: seen.append(b.actions) or {"validation_loss": 0.0, "validation_error": 0.0}
    algo.train(1, 16, 1, 10, lambda states: 5.0 * torch.ones(len(states), 1))
    assert (seen[0] == 1).all()


def test_arguments_that_dont_fit_are_errors():
    dagger = make(DAgger, build())
    with pytest.raises(TypeError, match="needs an expert"):
        dagger.train()
    for name in ("num_episodes", "batch_size", "num_epochs", "T_steps", "validation_episodes"):
        with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
            dagger.train(expert=Guide(), **{name: 0})
    with pytest.raises(ValueError, match="rate of an exponential schedule must be in 0..1, got 2"):
        Exponential(2)


def test_a_loss_that_isnt_finite_stops_it_with_the_best_weights():
    dagger = make(DAgger, build())
    original, calls, kept = dagger.agent.loss, [], []
    validate = dagger.agent.validate
    dagger.agent.validate = lambda b: kept.append(weights(dagger)) or validate(b)
    dagger.agent.loss = lambda b: calls.append(0) or original(b) * (np.nan if len(kept) == 1 else 1)
    with pytest.raises(TrainingError, match="net loss is nan"):
        dagger.train(4, 32, 2, 20, Guide())
    assert torch.equal(weights(dagger), kept[0])
