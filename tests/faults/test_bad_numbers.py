"""nan and infinity in observation, reward, action, loss, gradient and weights: training stops and says where.

What is saved then are the last good weights, whichever algorithm trains.
"""

import math
import re

import gymnasium
import numpy as np
import pytest
import torch

import ilpyt
from ilpyt.agents.base_agent import BaseAgent
from ilpyt.algos import ALGORITHMS
from ilpyt.envs import DiscretizeAction
from ilpyt.runners import Experiences
from ilpyt.utils.checkpoint import load_state
from ilpyt.utils.errors import IlpytError, TrainingError
from ilpyt.utils.seed_utils import set_seed
from tests.algos.test_resume import CASES, NET

ENV_ID = "Pendulum-v1"
VALUES = pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf], ids=["nan", "inf", "minus_inf"])
ALL = pytest.mark.parametrize("name", CASES)
ALL_THAT_STEP = pytest.mark.parametrize("name", [name for name in CASES if name != "BC"])  # BC steps none
FAULTY_UPDATE = 3  # counted from 0


class Faulty(gymnasium.Wrapper):
    """Gives a value in the place of an observation or a reward at the 15th step."""

    def __init__(self, env, what, value):
        super().__init__(env)
        self.what, self.value, self.steps = what, value, 0

    def step(self, action):
        observation, reward, *others = self.env.step(action)
        self.steps += 1
        if self.steps == 15 and self.what == "observation":
            observation = np.array([0, self.value, 0], np.float32)
        if self.steps == 15 and self.what == "reward":
            reward = self.value
        return observation, reward, *others


def expert(states):
    return torch.zeros(len(states), 1) if states.shape[1] == 3 else torch.zeros(len(states), dtype=torch.int64)


def make(name, save_path, what="", value=0.0):
    set_seed(0)
    wrappers = [lambda env: gymnasium.wrappers.TimeLimit(env, 20), lambda env: Faulty(env, what, value)]
    if name == "DQN":
        wrappers.append(DiscretizeAction)
    env = ilpyt.envs.build_env(ENV_ID, num_env=4, wrappers=wrappers)
    agent = ALGORITHMS[name].make_agent(env, net={**NET, "normalize": True}, **CASES[name][0])
    return ALGORITHMS[name](agent=agent, env=env, save_path=save_path, progress=False)


def demos(what="", value=0.0):
    """Four episodes, in whose second one something may be wrong at step 7."""
    rng = np.random.default_rng(0)
    fields = {
        "states": rng.normal(size=(80, 3)),
        "actions": rng.uniform(-2, 2, (80, 1)),
        "rewards": rng.normal(size=80),
        "dones": np.arange(80) % 20 == 19,
    }
    if what:
        fields[what][27] = value
    return Experiences(**fields, truncated=fields["dones"])


def learn(algo, expert=expert, expert_demos=None):
    name = type(algo).__name__
    learn_from = {"expert": expert} if name == "DAgger" else {"expert_demos": expert_demos or demos()}
    algo.train(**{**CASES[name][1], **({} if name in ("DQN", "A2C", "PPO") else learn_from)})


def saved(algo):
    """The weights that were saved last."""
    nets = dict(algo.agent.named_nets())
    return {name: load_state(algo.save_path / f"{name}_{algo.steps_done}.pth") for name in nets}


def assert_good_weights_are_saved(algo, expected=None):
    now = algo.agent.get_weights()
    for name, weights in saved(algo).items():
        for key, tensor in weights.items():
            assert torch.isfinite(tensor).all(), (name, key)
            assert torch.equal(tensor, now[name][key]), (name, key)
            if expected is not None:
                assert torch.equal(tensor, expected[name][key]), (name, key)


def keeps_the_latest(name):
    """Whether the weights at the end are the latest, not those that some evaluation found best."""
    return name in ("DQN", "A2C", "PPO", "GCL")


@VALUES
@ALL_THAT_STEP
@pytest.mark.parametrize("what", ["observation", "reward"])
def test_from_the_environment(what, name, value, tmp_path):
    algo = make(name, tmp_path, what, value)
    place = r"observation\[1\]" if what == "observation" else "reward"
    with pytest.raises(IlpytError, match=rf"environment \d \(Pendulum-v1\) returned {value} in its {place} after \d+"):
        learn(algo)
    assert_good_weights_are_saved(algo)


@VALUES
@pytest.mark.parametrize("name", ["BC", "GAIL", "GCL", "AppL"])
@pytest.mark.parametrize("what", ["states", "actions", "rewards"])
def test_from_the_demonstrations(what, name, value, tmp_path):
    algo = make(name, tmp_path)
    with pytest.raises(IlpytError, match=rf"expert_demos: {what} of episode 1, step 7 hold nan or infinity"):
        learn(algo, expert_demos=demos(what, value))
    assert not list(tmp_path.glob("*.pth"))  # nothing has begun


@VALUES
def test_from_the_expert_that_dagger_asks(value, tmp_path):
    def wrong_later(states):
        actions = expert(states)
        if len(states) > 4:  # asked for labels
            actions[-1] = value
        return actions

    algo = make("DAgger", tmp_path)
    with pytest.raises(IlpytError, match=re.escape(f"the expert gives the action [{value}] in state [")):
        learn(algo, wrong_later)
    assert_good_weights_are_saved(algo)


@VALUES
@ALL_THAT_STEP
def test_actions(name, value, tmp_path, monkeypatch):
    algo = make(name, tmp_path)
    original, calls = algo.agent.step, iter(range(10**9))

    def step(states):
        actions = original(states)
        if next(calls) == 15:
            if actions.dtype.kind == "i":
                actions[1] = 1000 if value > 0 else -1
            else:
                actions[1] = value
        return actions

    monkeypatch.setattr(algo.agent, "step", step)
    with pytest.raises(ValueError, match=r"the action for environment 1 is \[?(nan|-?inf|1000|-1)\]?; it must be"):
        learn(algo)
    assert next(calls) == 16
    assert_good_weights_are_saved(algo)


def spoil_loss(value, loss):
    return loss * value


def spoil_gradient(value, loss):
    loss.register_hook(lambda gradient: gradient * value)
    return loss


def optimizers_of(name):
    return {
        "BC": ["net"], "DAgger": ["net"], "GAIL": ["disc", "actor-critic"], "GCL": ["cost", "actor-critic"],
        "AppL": ["actor-critic"], "DQN": ["net"], "A2C": ["actor-critic"], "PPO": ["actor-critic"],
    }[name]  # fmt: skip


EACH = pytest.mark.parametrize(
    ("name", "optimizer"), [(name, optimizer) for name in CASES for optimizer in optimizers_of(name)]
)


@VALUES
@EACH
@pytest.mark.parametrize(("what", "spoil"), [("loss", spoil_loss), ("gradient", spoil_gradient)])
def test_losses_and_gradients(what, spoil, name, optimizer, value, tmp_path, monkeypatch):
    algo = make(name, tmp_path)
    original, calls, before = BaseAgent.optimize, iter(range(10**9)), {}

    def optimize(self, which, loss, *args):
        if which == optimizer and next(calls) == FAULTY_UPDATE:
            before.update(algo.agent.get_weights())
            loss = spoil(value, loss)
        return original(self, which, loss, *args)

    monkeypatch.setattr(BaseAgent, "optimize", optimize)
    with pytest.raises(
        TrainingError, match=rf"the {optimizer} {what} is (nan|-?inf): its weights are left as they were before"
    ):
        learn(algo)
    assert next(calls) == FAULTY_UPDATE + 1
    assert_good_weights_are_saved(algo, before if keeps_the_latest(name) else None)


@VALUES
@EACH
def test_weights(name, optimizer, value, tmp_path, monkeypatch):
    """As a learning rate of nan, a broken memory or a mistake in a new method would spoil them."""
    algo = make(name, tmp_path)
    original, calls, seen = BaseAgent.optimize, iter(range(10**9)), []

    def optimize(self, which, loss, *args):
        seen.append(algo.agent.get_weights())
        result = original(self, which, loss, *args)
        if which == optimizer and next(calls) == FAULTY_UPDATE:
            self.optimizers[which].param_groups[0]["params"][0].data[-1] = value
        return result

    monkeypatch.setattr(BaseAgent, "optimize", optimize)
    with pytest.raises(TrainingError, match=r"'\S+' of the network '(net|disc|gen_.*|cost|actor.*|critic)' holds nan"):
        learn(algo)
    assert_good_weights_are_saved(algo)
    now = algo.agent.get_weights()
    assert any(all(torch.equal(t, now[n][k]) for n in now for k, t in w[n].items() if "norm" not in k) for w in seen)


def test_the_last_good_weights_are_those_of_the_last_look(tmp_path, monkeypatch):
    """With a look after every iteration, they are those of the iteration before."""
    monkeypatch.setattr("ilpyt.algos.loop.LOOK_EVERY", -1.0)
    algo = make("PPO", tmp_path)
    original, calls, after = algo.agent.update, iter(range(10**9)), []

    def update(batch):
        metrics = original(batch)
        after.append(algo.agent.get_weights())
        if next(calls) == FAULTY_UPDATE:
            next(algo.agent.actor.parameters()).data.view(-1)[0] = math.nan
        return metrics

    monkeypatch.setattr(algo.agent, "update", update)
    with pytest.raises(TrainingError, match="of the network 'actor' holds nan"):
        learn(algo)
    assert_good_weights_are_saved(algo, after[FAULTY_UPDATE - 1])


@ALL
def test_training_doesnt_begin_with_weights_that_arent_finite(name, tmp_path):
    algo = make(name, tmp_path)
    net = next(net for _, net in algo.agent.named_nets())
    with torch.no_grad():
        next(net.parameters()).view(-1)[0] = math.nan
    with pytest.raises(TrainingError, match="holds nan or infinity"):
        learn(algo)
    assert not list(tmp_path.glob("*.pth"))


def test_a_learning_rate_of_nan_is_found_and_the_weights_before_it_are_kept(tmp_path):
    algo = make("PPO", tmp_path)
    algo.agent.lr = lambda steps: 1e-3 if steps < 200 else math.nan
    with pytest.raises(TrainingError, match="of the network 'actor' holds nan or infinity"):
        learn(algo)
    assert_good_weights_are_saved(algo)
