"""Environments as users bring them, in both VecEnvs: what comes out is what they gave, laid out by hand."""

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces

from ilpyt.algos import BC, PPO
from ilpyt.envs import build_env, drawing_env
from ilpyt.runners import Runner
from ilpyt.utils.errors import EnvError
from tests.conftest import ROOT
from tests.own_envs import Old, Own, Scale

KEYED = spaces.Dict(
    {  # a literal: gymnasium sorts it
        "speed": spaces.Box(-1, 1, (2,), np.float64),
        "gear": spaces.Discrete(4, start=-1),
        "view": spaces.Box(0, 255, (2, 3), np.uint8),
        "flags": spaces.MultiBinary(2),
    }
)
NESTED = spaces.Tuple(
    [spaces.Discrete(3), spaces.Dict(b=spaces.Box(-1, 1, ()), a=spaces.Discrete(2)), spaces.MultiDiscrete([2, 2])]
)
BOUNDS = spaces.Box(np.array([-0.1, 0]), np.array([0.1, 0.3]), dtype=np.float64)


def one_hot(i, n):
    return [float(k == i) for k in range(n)]


def keyed_by_hand(x):
    view = [float(x["view"][row, column]) for row in range(2) for column in range(3)]
    return [*map(float, x["flags"]), *one_hot(x["gear"] + 1, 4), *x["speed"], *view]


def nested_by_hand(x):
    first, parts, last = x
    return [*one_hot(first, 3), float(parts["b"]), *one_hot(parts["a"], 2), *one_hot(last[0], 2), *one_hot(last[1], 2)]


def channels_last_by_hand(x):
    return [[[x[c, i, j] for c in range(3)] for j in range(7)] for i in range(6)]


def stack_by_hand(x):
    return [[[x[k, i, j, c] for k in range(2) for c in range(3)] for j in range(7)] for i in range(6)]


def into_bounds(action):
    return np.array([min(max(float(a), BOUNDS.low[i]), BOUNDS.high[i]) for i, a in enumerate(action)])


def to_whole(action):
    return np.array([round(min(max(float(a), 0), 3)) for a in action], np.int32)


def image(*shape):
    return spaces.Box(0, 255, shape, np.uint8)


@dataclass
class Case:
    """An environment, and how its values are by hand; `env_id` and `kwargs` are `build_env`'s, if not a function's."""

    make: Callable
    observe: Callable
    act: Callable = int
    factor: float = 1
    env_id: str | None = None
    kwargs: dict = field(default_factory=dict)


gymnasium.register("OwnKeyed-v0", entry_point=Own, kwargs={"observation_space": KEYED, "limit": 9})
SCALED = {"wrappers": [partial(Scale, factor=0.5), partial(Scale, factor=3)]}
CASES = {
    "dict": Case(partial(Own, KEYED), keyed_by_hand),
    "tuple": Case(partial(Own, NESTED), nested_by_hand),
    "discrete from 2, actions from -1": Case(
        partial(Own, spaces.Discrete(5, start=2), spaces.Discrete(3, start=-1)),
        lambda x: one_hot(x - 2, 5),
        lambda action: int(action) - 1,
    ),
    "multidiscrete, float64 actions": Case(
        partial(Own, spaces.MultiDiscrete([2, 3], start=[1, 0]), BOUNDS),
        lambda x: [*one_hot(x[0] - 1, 2), *one_hot(x[1], 3)],
        into_bounds,
    ),
    "image, channels first": Case(partial(Own, image(3, 6, 7)), channels_last_by_hand),
    "stack of images, whole actions": Case(
        partial(Own, image(2, 6, 7, 3), spaces.Box(0, 3, (2,), np.int32)), stack_by_hand, to_whole
    ),
    "id, keyword, wrappers": Case(
        partial(Own, KEYED, limit=3), keyed_by_hand, factor=1.5, env_id="OwnKeyed-v0", kwargs={"limit": 3, **SCALED}
    ),
    "4-tuple": Case(partial(Old, KEYED), keyed_by_hand, factor=1.5, kwargs=SCALED),
}


class Reference:
    """One environment, stepped alone and without ilpyt: states, rewards and flags as a VecEnv's row should be."""

    def __init__(self, case, seed):
        self.env, self.observe, self.act, self.factor = case.make(), case.observe, case.act, case.factor
        self.is_old = isinstance(self.env, Old)
        self.first = self.begin(seed)

    def begin(self, seed=None):
        if not self.is_old:
            return self.observe(self.env.reset(seed=seed)[0])
        if seed is not None:
            self.env.seed(seed)
        return self.observe(self.env.reset())

    def step(self, action):
        result = self.env.step(self.act(action))
        if self.is_old:
            observation, reward, done, info = result
            truncated = info.get("TimeLimit.truncated", False)
            terminated = done and not truncated
        else:
            observation, reward, terminated, truncated, _ = result
        final = self.observe(observation)
        next_state = self.begin() if terminated or truncated else final
        return next_state, reward * self.factor, terminated, truncated and not terminated, final


def same(array, expected):
    np.testing.assert_array_equal(array, np.asarray(expected).astype(array.dtype))


@pytest.mark.parametrize("kind", ["dummy", "subproc"])
@pytest.mark.parametrize("case", CASES)
def test_what_comes_out_is_what_the_environment_gave_and_is_learnt_from(case, kind):
    case = CASES[case]
    make = case.make
    rng = np.random.default_rng(0)
    with build_env(case.env_id or (lambda: make()), 3, seed=7, vecenv_type=kind, **case.kwargs) as env:
        references = [Reference(case, seed=7 + i) for i in range(3)]
        same(env.reset(), [reference.first for reference in references])
        ends = np.zeros(2, int)
        for _ in range(40):
            if env.type == "discrete":
                actions = rng.integers(0, env.num_actions, 3)
            else:
                actions = rng.normal(size=(3, env.num_actions)).astype(np.float32)
            states, rewards, dones, infos = env.step(actions)
            steps = [reference.step(action) for reference, action in zip(references, actions, strict=True)]
            expected = [list(column) for column in zip(*steps, strict=True)]
            for array, column in zip(
                (states, rewards, infos["terminated"], infos["truncated"], infos["final_states"]), expected, strict=True
            ):
                same(array, column)
            same(dones, infos["terminated"] | infos["truncated"])
            ends += [infos["terminated"].sum(), infos["truncated"].sum()]
        assert (ends > 4).all()
        assert env.observation_dtype == (np.uint8 if states.ndim == 4 else np.float32)
        if kind == "dummy":  # the other's arrays are the same
            learns_from(env)


def learns_from(env):
    ppo = PPO(env=env, agent=PPO.make_agent(env, net={"hidden_sizes": (8,)}, batch_size=6), progress=False)
    bc = BC(env=env, agent=BC.make_agent(env, net={"hidden_sizes": (8,)}), progress=False, save_path="bc")
    for algo, keywords in (
        (bc, {"num_epochs": 2, "early_stopping": False, "expert_demos": Runner(env, ppo.agent).generate_episodes(2)}),
        (ppo, {"num_steps": 12, "rollout_steps": 4}),
    ):
        before = [p.clone() for net in algo.agent.nets.values() for p in net.parameters()]
        algo.train(**keywords)
        after = [p for net in algo.agent.nets.values() for p in net.parameters()]
        assert all(torch.isfinite(p).all() for p in after)
        assert not all(torch.equal(p, q) for p, q in zip(before, after, strict=True))


def test_an_environment_of_gym_026_with_parts_is_laid_out_the_same():
    gym = pytest.importorskip("gym")

    class Modern(gym.Env):
        observation_space = gym.spaces.Dict(
            [("b", gym.spaces.Discrete(3, start=1)), ("a", gym.spaces.Box(-1, 1, (2,)))]
        )
        action_space = gym.spaces.Discrete(2, start=5)

        def __init__(self, scale=1.0):
            self.scale = scale

        def observe(self):
            return {"a": self.np_random.uniform(-1, 1, 2) * self.scale, "b": int(self.np_random.integers(1, 4))}

        def reset(self, *, seed=None, options=None):
            super().reset(seed=seed)
            return self.observe(), {}

        def step(self, action):
            assert action in (5, 6)
            return self.observe(), float(action), False, False, {}

    gym.register("OwnInGym-v0", entry_point=Modern, max_episode_steps=3)
    for kind in ("dummy", "subproc"):
        with build_env("gym:OwnInGym-v0", 2, seed=7, vecenv_type=kind, scale=0.5) as env:
            alone = [Modern(scale=0.5) for _ in range(2)]
            flat = lambda x: [*one_hot(x["b"] - 1, 3), *x["a"]]  # noqa: E731
            same(env.reset(), [flat(own.reset(seed=7 + i)[0]) for i, own in enumerate(alone)])
            for t in range(1, 7):
                states, rewards, dones, infos = env.step([0, 1])
                same(infos["final_states"], [flat(own.step(5)[0]) for own in alone])
                same(rewards, [5, 6])
                assert dones.all() == infos["truncated"].all() == (t % 3 == 0)
                if dones.any():
                    same(states, [flat(own.reset()[0]) for own in alone])


class Room(gymnasium.Env):
    """Goes wrong in one way or another."""

    def __init__(self, space=None, observation=(0.0, 0.0), action_space=None, reward=0.0, pause=0.0):
        self.observation_space = space or spaces.Box(-1, 1, (2,))
        self.action_space = action_space or spaces.Discrete(3)
        self.observation, self.reward, self.pause = observation, reward, pause

    def reset(self, *, seed=None, options=None):
        return self.observation, {}

    def step(self, action):
        __import__("time").sleep(self.pause)
        return self.observation, self.reward, False, False, {}


Room.__module__ = "__main__"  # as in a script: workers don't import this file
gymnasium.register("Reach-v0", entry_point=Room)


def played(env_id, num_env=1, **kwargs):
    with build_env(env_id, num_env, **kwargs) as env:
        env.reset()
        env.step([0] * num_env)


def mistakes():
    """What the guide's table of errors is about, in its order."""
    shared, lock = Room(), threading.Lock()
    yield lambda: played("Raech-v0")
    yield lambda: played(Room, colour=3)
    yield lambda: played(lambda: Room(action_space=spaces.MultiDiscrete([2, 2])))
    yield lambda: played(lambda: Room(observation=np.zeros(3)))
    yield lambda: played(lambda: Room(spaces.Dict(ice=spaces.Discrete(2)), {"ice": 2}))
    yield lambda: played(lambda: Room(image(6, 7, 3), np.ones((6, 7, 3))))
    yield lambda: played(lambda: Room(observation=np.array([0, np.nan])))
    yield lambda: played(lambda: Room(reward=np.ones(1)))
    yield lambda: played(lambda: shared, num_env=2)
    yield lambda: played(lambda: Room(reward=lock), vecenv_type="subproc")
    yield lambda: played(lambda: Room(pause=60), vecenv_type="subproc", timeout=3)
    yield lambda: drawing_env(build_env(Room, 1))


def test_errors_are_those_that_the_guide_tells():
    table = (ROOT / "docs/environment.md").read_text().partition("| what it says")[2]
    told = re.findall(r"^\| `(.+?)` \| .+ \|$", table, re.M)
    for text, mistake in zip(told, mistakes(), strict=True):
        if "setting an array element" in text and int(np.__version__.split(".")[0]) < 2:
            continue  # NumPy 1 takes an array of one number for it
        with pytest.raises((EnvError, ValueError, TypeError)) as error:
            mistake()
        line = str(error.value).splitlines()[0].removeprefix("environment 0 (<lambda>) can't be made: ")
        assert line.startswith(text)
