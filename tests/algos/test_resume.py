"""Training that is interrupted and resumed: `train(..., resume=True)`."""

import csv
import os
import random
import signal

import numpy as np
import pytest
import torch

import ilpyt
from ilpyt.agents import CartPoleHeuristicAgent
from ilpyt.algos import ALGORITHMS, BC, PPO
from ilpyt.algos.monitor import Monitor
from ilpyt.runners import Experiences
from ilpyt.utils.checkpoint import load_state, save_state
from ilpyt.utils.errors import DataError, TrainingInterrupted
from ilpyt.utils.flat_adam import FlatAdam
from ilpyt.utils.seed_utils import set_seed
from tests.conftest import ROOT

NET = {"hidden_sizes": (16,)}
LEARNER = {"num_epochs": 2, "batch_size": 32}
# keywords of `make_agent`, and of `train`; each trains long enough for two checkpoints
CASES = {
    "BC": ({}, {"num_epochs": 6, "batch_size": 256, "save_interval": 2}),
    "DAgger": ({}, {"num_episodes": 4, "T_steps": 20, "num_epochs": 2, "validation_episodes": 2}),
    "GAIL": (
        {"learner": LEARNER, "replay_memory_size": 500},
        {"num_steps": 640, "rollout_steps": 20, "save_interval": 160, "eval_interval": 320, "eval_episodes": 2},
    ),
    "GCL": ({"learner": LEARNER}, {"num_episodes": 24, "rollout_episodes": 4, "clone_epochs": 1, "save_interval": 50}),
    "AppL": (LEARNER, {"num_episodes": 3, "num_train": 2, "batch_size": 20, "evaluation_episodes": 3}),
    "DQN": (
        {"learning_starts": 50, "replay_memory_size": 300, "n_step": 2, "repeat_exponent": 2.0},
        {"num_steps": 640, "rollout_steps": 2, "save_interval": 160, "eval_interval": 320, "eval_episodes": 2},
    ),
    "A2C": ({}, {"num_steps": 640, "rollout_steps": 5, "save_interval": 160}),
    "PPO": (LEARNER, {"num_steps": 640, "rollout_steps": 20, "save_interval": 160}),
}


@pytest.fixture(autouse=True)
def sigint_interrupts():
    """Also where the parent ignores it, as a shell's background job does."""
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, former)


@pytest.fixture(scope="module")
def demos():
    return Experiences.load(ROOT / "demos/CartPole-v0/demos.pkl")[:6]


def make(name, seed, save_path, **kwargs):
    set_seed(seed)
    env = ilpyt.envs.build_env("CartPole-v0", num_env=4, seed=seed)
    agent = ALGORITHMS[name].make_agent(env, net={**NET, "normalize": True}, **CASES[name][0], **kwargs)
    return ALGORITHMS[name](agent=agent, env=env, save_path=save_path, progress=False)


def learn(algo, demos, **more):
    name = type(algo).__name__
    learn_from = {"expert": CartPoleHeuristicAgent()} if name == "DAgger" else {"expert_demos": demos}
    algo.train(**{**CASES[name][1], **({} if name in ("DQN", "A2C", "PPO") else learn_from), **more})


def interrupt_after(algo, monkeypatch, calls, number=signal.SIGINT):
    """A signal comes in the midst of the `calls`-th update."""
    name = "train_epoch" if hasattr(algo.agent, "train_epoch") else "update"
    original, count = getattr(algo.agent, name), iter(range(10**9))

    def update(*args, **kwargs):
        if next(count) == calls - 1:
            os.kill(os.getpid(), number)
        return original(*args, **kwargs)

    monkeypatch.setattr(algo.agent, name, update)


def weights_of(algo):
    return {f"{n}.{k}": v for n, net in algo.agent.get_weights().items() for k, v in net.items()}


def assert_same(weights, others):
    assert weights.keys() == others.keys()
    for name, tensor in weights.items():
        assert torch.equal(tensor, others[name]), name


def rows_of(folder):
    with open(folder / "progress.csv", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("early_stopping", [True, False])
def test_bc_resumed_is_to_the_bit_bc_uninterrupted(early_stopping, demos, tmp_path, monkeypatch):
    kwargs = {"num_epochs": 12, "early_stopping": early_stopping, "patience": 3}
    whole = make("BC", 0, tmp_path / "whole", lr=0.05)
    learn(whole, demos, **kwargs)
    part = make("BC", 0, tmp_path / "part", lr=0.05)
    interrupt_after(part, monkeypatch, 3)
    with pytest.raises(TrainingInterrupted):
        learn(part, demos, **kwargs)
    assert part.epochs == 3
    resumed = make("BC", 7, tmp_path / "part", lr=0.05)
    random.random(), np.random.random(), torch.rand(3)
    learn(resumed, demos, **kwargs, resume=True)
    assert resumed.epochs == whole.epochs
    assert whole.epochs == 12 or early_stopping
    assert_same(weights_of(resumed), weights_of(whole))
    skipped = {"seconds"}
    for own, other in zip(rows_of(tmp_path / "part"), rows_of(tmp_path / "whole"), strict=True):
        assert {k: v for k, v in own.items() if k not in skipped} == {
            k: v for k, v in other.items() if k not in skipped
        }
    seconds = [float(row["seconds"]) for row in rows_of(tmp_path / "part")]
    assert seconds == sorted(seconds)


@pytest.mark.parametrize(
    ("name", "number"), [*((name, signal.SIGINT) for name in CASES), ("BC", signal.SIGTERM), ("PPO", signal.SIGTERM)]
)
def test_two_resumptions_are_the_same_and_do_what_was_left(name, number, demos, tmp_path, monkeypatch):
    whole = make(name, 0, tmp_path / "whole")
    learn(whole, demos)
    part = make(name, 0, tmp_path / "part")
    interrupt_after(part, monkeypatch, 3, number)
    with pytest.raises(TrainingInterrupted) as raised:
        learn(part, demos)
    assert raised.value.code == 128 + number
    done = part.steps_done
    assert 0 < done < whole.steps_done
    checkpoint = (tmp_path / "part/checkpoint.pt").read_bytes()

    results = []
    for seed in (1, 2):
        (tmp_path / "part/checkpoint.pt").write_bytes(checkpoint)
        resumed = make(name, 0, tmp_path / "part")  # environments must be seeded alike
        set_seed(seed)
        learn(resumed, demos, resume=True)
        results.append(resumed)
    assert_same(weights_of(results[0]), weights_of(results[1]))
    assert results[0].agent.num_updates() == results[1].agent.num_updates() > part.agent.num_updates()
    if name != "GCL":  # whose episodes are of any length
        assert results[0].steps_done == whole.steps_done
    steps = [int(row["step"]) for row in rows_of(tmp_path / "part")]
    assert steps == sorted(set(steps))
    assert steps[-1] == results[1].steps_done


def test_a_finished_training_is_resumed_by_nothing_or_by_more(demos, tmp_path):
    algo = make("PPO", 0, tmp_path)
    learn(algo, demos)
    weights = weights_of(algo)
    again = make("PPO", 1, tmp_path)
    learn(again, demos, resume=True)
    assert_same(weights_of(again), weights)
    assert again.steps_done == 640
    learn(again, demos, resume=True, num_steps=800)
    assert again.steps_done == 800


def test_a_second_ctrl_c_interrupts_at_once_and_leaves_the_last_checkpoint(demos, tmp_path, monkeypatch):
    algo = make("PPO", 0, tmp_path)
    original, count = algo.agent.update, iter(range(10**9))

    def update(batch):
        if next(count) == 3:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
            raise AssertionError("not reached")
        return original(batch)

    monkeypatch.setattr(algo.agent, "update", update)
    with pytest.raises(TrainingInterrupted):
        learn(algo, demos)
    resumed = make("PPO", 0, tmp_path)
    monitor_steps = []
    monkeypatch.setattr(Monitor, "record", lambda self, batch, m: monitor_steps.append(self.runner.env_steps) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        learn(resumed, demos, resume=True)
    assert monitor_steps == [160 + 80]  # the checkpoint at 160 env steps, and a rollout


def test_a_signal_in_the_last_iteration_isnt_lost(demos, tmp_path, monkeypatch):
    algo = make("BC", 0, tmp_path)
    interrupt_after(algo, monkeypatch, 6, signal.SIGTERM)
    with pytest.raises(TrainingInterrupted) as raised:
        learn(algo, demos)
    assert raised.value.code == 143
    assert algo.epochs == 6


def test_signals_are_what_they_were_after_training(demos, tmp_path):
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    learn(make("BC", 0, tmp_path), demos)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_what_cant_be_resumed_is_refused_by_name(demos, tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing to resume"):
        learn(make("PPO", 0, tmp_path), demos, resume=True)
    learn(make("PPO", 0, tmp_path), demos)
    before = (tmp_path / "checkpoint.pt").read_bytes()

    with pytest.raises(DataError, match="of another algorithm: PPO, not A2C"):
        learn(make("A2C", 0, tmp_path), demos, resume=True)
    set_seed(0)
    env = ilpyt.envs.build_env("CartPole-v0", num_env=4)
    wider = PPO(env=env, agent=PPO.make_agent(env, net={"hidden_sizes": (17,)}), save_path=tmp_path, progress=False)
    with pytest.raises(DataError, match=r"of another network: actor\.layers\.0\.bias \[16\], not \[17\]"):
        wider.train(num_steps=800, resume=True)
    other = ilpyt.envs.build_env("MountainCar-v0", num_env=4)
    with pytest.raises(DataError, match="another environment: CartPole-v0, not MountainCar-v0"):
        PPO(env=other, save_path=tmp_path, progress=False).train(num_steps=800, resume=True)
    (tmp_path / "checkpoint.pt").write_bytes(before[:-100])
    with pytest.raises(DataError, match=r"checkpoint\.pt"):
        learn(make("PPO", 0, tmp_path), demos, resume=True)
    assert not list(tmp_path.glob("previous_*"))


def test_bc_is_resumed_too_where_a_kill_left_only_the_last_checkpoint(demos, tmp_path, monkeypatch):
    whole = make("BC", 0, tmp_path / "whole")
    learn(whole, demos)
    part = make("BC", 0, tmp_path / "part")
    original = part.checkpoint

    def checkpoint():
        original()
        raise OSError("the machine went down")

    monkeypatch.setattr(part, "checkpoint", checkpoint)
    with pytest.raises(OSError, match="went down"):
        learn(part, demos)
    assert part.epochs == 2
    resumed = BC(agent=make("BC", 3, tmp_path / "x").agent, env=part.env, save_path=tmp_path / "part", progress=False)
    learn(resumed, demos, resume=True)
    assert_same(weights_of(resumed), weights_of(whole))


def test_a_training_is_resumed_with_other_arguments_and_on_the_same_object(demos, tmp_path, monkeypatch, capsys):
    for name in ("DQN", "GAIL"):
        algo = make(name, 0, tmp_path / name)
        interrupt_after(algo, monkeypatch, 3)
        with pytest.raises(TrainingInterrupted):
            learn(algo, demos, eval_interval=None)
        monkeypatch.undo()
        random.gauss()  # one more is kept in the generator's state
        learn(algo, demos, resume=True, log_interval=100)
        assert algo.steps_done == 640
    other = make("GAIL", 0, tmp_path / "GAIL")
    other.progress = True
    learn(other, demos, resume=True, num_steps=700)
    said = capsys.readouterr().err
    assert "Before, it was train.num_steps 640, not 700." in said
    assert "train.rollout_steps" not in said


def test_settings_that_numpy_computed_are_resumed_with(demos, tmp_path):
    lr = np.logspace(-4, -3, 2)[0]
    algo = make("BC", 0, tmp_path, lr=lr)
    learn(algo, demos, num_epochs=np.int64(2))
    resumed = make("BC", 0, tmp_path, lr=lr)
    learn(resumed, demos, resume=True)
    assert (algo.epochs, resumed.epochs) == (2, 6)


def test_a_refused_checkpoint_leaves_all_as_it_was(demos, tmp_path):
    learn(make("PPO", 0, tmp_path), demos)
    checkpoint = load_state(tmp_path / "checkpoint.pt")
    checkpoint["state"]["random"]["torch"] = torch.zeros(3)
    save_state(tmp_path / "checkpoint.pt", checkpoint)
    algo = make("PPO", 1, tmp_path)
    before, adam = weights_of(algo), repr(algo.agent.optimizers["actor-critic"].state_dict())
    drawn = torch.rand(1, generator=torch.Generator().set_state(torch.get_rng_state()))
    with pytest.raises(DataError, match="checkpoint.pt can't be gone on from"):
        learn(algo, demos, resume=True)
    assert_same(weights_of(algo), before)
    assert repr(algo.agent.optimizers["actor-critic"].state_dict()) == adam
    assert (algo.steps_done, algo.agent.updates, algo.agent.env_steps) == (0, 0, 0)
    assert torch.rand(1) == drawn


def test_many_policies_of_apprenticeship_learning_are_resumed(demos, tmp_path):
    algo = make("AppL", 0, tmp_path)
    learn(algo, demos)
    checkpoint = load_state(tmp_path / "checkpoint.pt")
    policies, expectations = checkpoint["state"]["policies"], checkpoint["state"]["parts"]["matching"]["policies"]
    first = next(iter(next(iter(policies.values())).values()))
    assert len(first) == len(expectations) == 4
    many = {n: {k: torch.cat([v] * 500) for k, v in w.items()} for n, w in policies.items()}
    checkpoint["state"]["policies"] = many
    checkpoint["state"]["parts"]["matching"]["policies"] = expectations * 500
    save_state(tmp_path / "checkpoint.pt", checkpoint)
    again = make("AppL", 0, tmp_path)
    learn(again, demos, resume=True)
    assert len(again._policies) == 2000


def test_an_optimizer_of_another_version_of_pytorch_is_gone_on_with():
    layer = torch.nn.Linear(2, 1)
    optimizer = FlatAdam(layer.parameters(), lr=0.5)
    optimizer.zero_grad()
    layer(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    state = optimizer.state_dict()
    state["param_groups"][0].pop("decoupled_weight_decay", None)
    state["param_groups"][0] |= {"lr": 0.25, "from_the_future": 1}
    other = FlatAdam(torch.nn.Linear(2, 1).parameters(), lr=0.5)
    other.load_state_dict(state)
    assert other.param_groups[0]["lr"] == 0.25
    assert other.state_dict()["state"][0]["step"] == 1
    for broken in ({"lr": "much"}, {"betas": [0.9]}, {"eps": float("nan")}):
        group = {**state["param_groups"][0], **broken}
        with pytest.raises(DataError, match="Adam"):
            other.load_state_dict({**state, "param_groups": [group]})
