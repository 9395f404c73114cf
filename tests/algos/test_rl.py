"""The loop of DQN, A2C and PPO: what it counts, when it stops, what it logs, and mistakes it names."""

import csv
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces

import ilpyt
from ilpyt.agents import A2CAgent, DQNAgent, PPOAgent
from ilpyt.algos import A2C, DQN, PPO, RL
from ilpyt.envs import DiscretizeAction, DummyVecEnv
from ilpyt.nets import choose_net
from ilpyt.runners import evaluate
from ilpyt.utils.errors import DataError, EnvError, TrainingError
from ilpyt.utils.seed_utils import TEST_SEED, VALIDATION_SEED, set_seed
from tests.counter import Counter

ALGORITHMS = [DQN, A2C, PPO]


def counters(num_envs=4, **kwargs):
    return DummyVecEnv([lambda: Counter(**kwargs) for _ in range(num_envs)])


def log(name=None, path="logs"):
    with open(Path(path) / "progress.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    return rows if name is None else [float(row[name]) for row in rows if row[name]]


def weights(agent):
    return torch.cat([p.detach().flatten() for _, net in agent.named_nets() for p in net.parameters()])


def small(algo_class, env, **kwargs):
    extra = {"learning_starts": 8, "batch_size": 8} if algo_class is DQN else {}
    return algo_class.make_agent(env, net={"hidden_sizes": (8,)}, **extra, **kwargs)


@pytest.mark.parametrize("algo_class", ALGORITHMS)
def test_episodes_are_counted_over_all_environments(algo_class):
    env = counters(4, length=5)
    algo = algo_class(env=env, agent=small(algo_class, env), progress=False)
    algo.train(num_episodes=10, rollout_steps=5)
    assert algo.runner.episodes == 12  # a rollout finishes four
    assert algo.runner.env_steps == algo.steps_done == 60
    algo.train(num_episodes=4, rollout_steps=5)
    assert algo.runner.episodes == 16
    assert sorted(Path("logs").glob("*_80.pth"))
    algo.train(num_steps=21, rollout_steps=5)
    assert algo.runner.env_steps == 80 + 40


@pytest.mark.parametrize("algo_class", ALGORITHMS)
def test_the_log_has_the_same_columns_in_every_row_and_true_returns(algo_class):
    env = counters(2, length=7)
    algo = algo_class(env=env, agent=small(algo_class, env, reward_scale=0.1), progress=False)
    algo.train(num_steps=280, rollout_steps=5, log_interval=20)
    rows = log()
    assert [int(row["step"]) for row in rows] == list(range(20, 281, 20))
    own = {DQN: {"q/loss", "q/mean", "epsilon"}, A2C: {"policy/entropy", "value/explained_variance"}}
    own[PPO] = own[A2C] | {"policy/kl", "policy/clip_fraction"}
    assert (
        own[algo_class] | {"step", "seconds", "lr", "episode/return", "episode/length", "episodes", "updates"}
        <= rows[0].keys()
    )
    assert all(row["lr"] for row in rows)
    assert log("episode/return")[-1] == log("episode/length")[-1] == 7
    assert log("episodes")[-1] == 40
    assert log("updates")[-1] == algo.agent.updates > 0


def test_training_stops_when_the_last_100_episodes_are_good_enough():
    env = counters(4, length=5)
    algo = A2C(env=env, agent=small(A2C, env), progress=False)
    algo.train(num_episodes=1000, rollout_steps=5, until=5)
    assert algo.runner.episodes == 100
    algo.train(num_episodes=300, rollout_steps=5, until=5.1)
    assert algo.runner.episodes == 400


def test_training_stops_when_an_evaluation_is_good_enough():
    env = counters(4, length=5)
    algo = A2C(env=env, agent=small(A2C, env), progress=False)
    algo.train(num_steps=1000, rollout_steps=5, until=5, eval_interval=200, eval_episodes=3)
    assert algo.runner.env_steps == 200
    assert log("evaluation/return") == [5.0]


def test_evaluations_have_seeds_of_their_own_and_leave_training_as_it_was(monkeypatch):
    used = []
    monkeypatch.setattr("ilpyt.algos.monitor.evaluate", lambda *a, **k: used.append(k["seed"]) or evaluate(*a, **k))
    logs = []
    for interval in (None, 40):
        set_seed(0)
        with ilpyt.envs.build_env("CartPole-v0", 4) as env:
            net = {"hidden_sizes": (8,), "noise_correlation": 0.9}
            algo = A2C(env=env, agent=A2C.make_agent(env, net=net), progress=False, save_path=f"run_{interval}")
            algo.train(num_steps=400, eval_interval=interval, eval_episodes=3, log_interval=1)
        logs.append(log("policy/loss", f"run_{interval}"))
    assert logs[0] == logs[1]
    assert set(used) == {VALIDATION_SEED}
    assert VALIDATION_SEED != TEST_SEED


def test_the_weights_whose_evaluation_was_best_are_kept(monkeypatch):
    scores = iter([1.0, 3.0, 2.0, 2.5])
    seen = []

    def fake(agent, *args, **kwargs):
        seen.append(weights(agent).clone())
        return [next(scores)]

    monkeypatch.setattr("ilpyt.algos.monitor.evaluate", fake)
    env = counters()
    algo = A2C(env=env, agent=small(A2C, env), progress=False)
    algo.train(num_steps=140, rollout_steps=5, eval_interval=40)
    assert len(seen) == 4  # after 40, 80, 120 and, at the end, 140 env steps
    assert not torch.equal(seen[1], seen[2])
    assert torch.equal(weights(algo.agent), seen[1])


@pytest.mark.parametrize("algo_class", ALGORITHMS)
def test_same_seed_same_weights_in_either_vectorized_environment(algo_class):
    results = []
    for vecenv_type, seed in (("dummy", 0), ("dummy", 0), ("subproc", 0), ("dummy", 1)):
        set_seed(seed)
        with ilpyt.envs.build_env("CartPole-v0", 4, vecenv_type=vecenv_type) as env:
            algo = algo_class(env=env, agent=small(algo_class, env), progress=False)
            algo.train(num_steps=300)
            results.append(weights(algo.agent))
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])
    assert not torch.equal(results[0], results[3])


@pytest.mark.parametrize("algo_class", ALGORITHMS)
def test_weights_survive_save_and_load_bit_for_bit(algo_class):
    env = counters()
    algo = algo_class(env=env, agent=small(algo_class, env), progress=False)
    algo.train(num_steps=40, rollout_steps=5)
    other = algo_class(env=env, agent=small(algo_class, env), progress=False, load_path="logs")
    assert torch.equal(weights(other.agent), weights(algo.agent))


@pytest.mark.parametrize("algo_class", [A2C, PPO])
@pytest.mark.parametrize("env_id", ["CartPole-v1", "LunarLanderContinuous-v3"])
def test_an_agent_is_made_where_none_is_given(algo_class, env_id):
    with ilpyt.envs.build_env(env_id, 2) as env:
        algo = algo_class(env=env, progress=False)
        before = weights(algo.agent)
        algo.train(num_steps=64, rollout_steps=16)
        assert not torch.equal(weights(algo.agent), before)
        assert len(algo.test(2)) == 2


def test_dqn_learns_in_continuous_action_spaces_through_discretize_action():
    with ilpyt.envs.build_env("LunarLanderContinuous-v3", 2, wrappers=[DiscretizeAction]) as env:
        algo = DQN(env=env, agent=small(DQN, env), progress=False)
        algo.train(num_steps=64)
        assert algo.agent.updates > 0
        assert len(algo.test(2)) == 2


@pytest.mark.parametrize("algo_class", ALGORITHMS)
@pytest.mark.parametrize(
    "arguments", [{"num_episodes": 0}, {"num_episodes": -3}, {"num_steps": 0}, {"num_steps": 10, "eval_interval": 0}]
)
def test_budgets_of_nothing_are_errors(algo_class, arguments):
    env = counters()
    algo = algo_class(env=env, agent=small(algo_class, env), progress=False)
    with pytest.raises(ValueError, match="must be at least 1, got (0|-3)"):
        algo.train(**arguments)
    with pytest.raises(TypeError, match="needs num_episodes or num_steps"):
        algo.train()


def test_an_agent_that_does_not_fit_is_refused():
    env = counters()
    wide, narrow = choose_net(env, input_shape=5), choose_net(env)
    critic = choose_net(env, output_shape=1)
    for algo_class, agent, match in (
        (PPO, PPOAgent(wide, critic), r"the policy of PPOAgent fails on the states of Counter, of shape \[2\]"),
        (A2C, A2CAgent(narrow, choose_net(env, 5, 1)), r"the critic of A2CAgent fails on the states of Counter"),
        (DQN, DQNAgent(wide), r"of DQNAgent fails on the states of Counter"),
    ):
        with pytest.raises(DataError, match=match):
            algo_class(env=env, agent=agent)
    more = counters(action_space=spaces.Discrete(7))
    with pytest.raises(DataError, match="policy of 3 outputs, but Counter has 7 actions"):
        DQN(env=more, agent=DQNAgent(narrow))
    with pytest.raises(TypeError, match="DQN trains agents of class DQNAgent, not PPOAgent"):
        DQN(env=env, agent=PPOAgent(narrow, critic))
    with pytest.raises(TypeError, match="RL needs an agent"):
        RL(env=env)
    RL(env=env, agent=DQNAgent(narrow))
    with ilpyt.envs.build_env("MountainCarContinuous-v0", 1) as continuous:
        with pytest.raises(ValueError, match="DiscretizeAction makes continuous actions discrete"):
            DQN(env=continuous)


@pytest.mark.parametrize("algo_class", ALGORITHMS)
def test_a_reward_or_state_that_is_not_finite_stops_training_and_is_named(algo_class):
    env = counters(3)
    algo = algo_class(env=env, agent=small(algo_class, env), progress=False)
    batch = algo.runner.generate_batch(10)
    rewards, states = batch.rewards.clone(), batch.states.clone()
    rewards[4, 2] = states[3, 1, 0] = float("nan")
    before = weights(algo.agent)
    with pytest.raises(TrainingError, match="the reward of environment 2 at step 4 of a rollout is nan"):
        algo.agent.update(batch.replace(rewards=rewards))
    with pytest.raises(TrainingError, match="the state of environment 1 at step 3 of a rollout is nan"):
        algo.agent.update(batch.replace(states=states))
    assert torch.equal(weights(algo.agent), before)
    algo.agent.update(batch)


@pytest.mark.parametrize("algo_class", ALGORITHMS)
@pytest.mark.parametrize("what", ["reward", "observation"])
def test_an_environment_that_returns_nan_is_named_and_what_was_learnt_is_saved(algo_class, what):
    nan = float("nan")
    fault = {"reward": (np.zeros(2, np.float32), nan), "observation": (np.array([0, nan], np.float32), 1.0)}[what]
    env = DummyVecEnv([Counter, lambda: Counter(faults={40: lambda: fault})])
    algo = algo_class(env=env, agent=small(algo_class, env), progress=False)
    with pytest.raises(EnvError, match=f"environment 1 .* returned nan in its {what}"):
        algo.train(num_steps=1000, rollout_steps=10)
    assert torch.isfinite(weights(algo.agent)).all()
    (saved, *_) = Path("logs").glob("*_8?.pth")  # it went wrong after 80 env steps
    assert all(torch.isfinite(p).all() for p in torch.load(saved, weights_only=True).values())


@pytest.mark.parametrize("algo_class", ALGORITHMS)
def test_a_loss_that_is_not_finite_stops_training_and_the_last_good_weights_are_saved(algo_class):
    env = counters(2)
    algo = algo_class(env=env, agent=small(algo_class, env), progress=False)
    net = algo.agent.net if algo_class is DQN else algo.agent.critic
    net.register_forward_hook(lambda module, args, output: output * float("inf") if algo.runner.episodes > 9 else None)
    with pytest.raises(TrainingError, match="loss is (inf|nan): its weights are left as they were"):
        algo.train(num_steps=1000, rollout_steps=10)
    assert torch.isfinite(weights(algo.agent)).all()
    assert sorted(Path("logs").glob("*.pth"))


class BrightSide(gymnasium.Env):
    """Four images an episode, bright on one side; the action that names the side is worth 1."""

    def __init__(self, continuous=False):
        self.observation_space = spaces.Box(0, 255, (12, 12, 1), np.uint8)
        self.action_space = spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.t = 0
        return self.draw(), {}

    def draw(self):
        self.side = int(self.np_random.integers(2))
        image = self.np_random.integers(0, 100, (12, 12, 1), dtype=np.uint8)
        image[:, 6 * self.side : 6 * self.side + 6] += 120
        return image

    def step(self, action):
        reward = float(action == self.side)
        self.t += 1
        return self.draw(), reward, self.t == 4, False, {}


@pytest.mark.parametrize(
    ("algo_class", "agent"),
    [
        (DQN, {"learning_starts": 200, "epsilon_steps": 1000, "gamma": 0.5, "batch_size": 32}),
        (PPO, {"lr": 1e-3, "batch_size": 64, "num_epochs": 4, "gamma": 0.5}),
    ],
)
def test_an_image_task_is_learnt_to_its_optimum(algo_class, agent):
    set_seed(0)
    with ilpyt.envs.build_env(BrightSide, 8) as env:
        agent = algo_class.make_agent(env, net={"hidden_sizes": (32,)}, **agent)
        algo = algo_class(env=env, agent=agent, progress=False)
        algo.train(num_steps=6000, rollout_steps=None if algo_class is DQN else 32, until=4.0, eval_interval=500)
        assert algo.test(50) == [4.0] * 50
        if algo_class is DQN:
            assert algo.agent.replay_memory.sample(1, 1.0).states.dtype == torch.uint8


@pytest.mark.parametrize(
    ("algo_class", "num_steps", "arguments"),
    [
        (DQN, 40_000, {"lr": 1e-3, "epsilon_steps": 5000, "replay_ratio": 0.5, "reward_scale": 0.1, "gamma": 0.98}),
        (A2C, 150_000, {"lr": 3e-3, "gae_lambda": 0.9, "gamma": 0.98, "reward_scale": 0.1}),
        (PPO, 40_000, {"lr": 1e-3, "gae_lambda": 0.9, "gamma": 0.98, "reward_scale": 0.1, "batch_size": 256}),
    ],
)
def test_cartpole_is_solved(algo_class, num_steps, arguments):
    set_seed(0)
    with ilpyt.envs.build_env("CartPole-v0", 8) as env:
        algo = algo_class(env=env, agent=algo_class.make_agent(env, **arguments), progress=False)
        algo.train(num_steps=num_steps, until=195, eval_interval=2000)
        assert np.mean(algo.test(100)) >= 195
