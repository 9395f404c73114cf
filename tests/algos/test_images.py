"""DQN and PPO on the images of real environments, with the preprocessing that gymnasium's own wrappers do."""

from functools import partial

import pytest
import torch
from gymnasium.wrappers import AtariPreprocessing, FrameStackObservation, GrayscaleObservation, ResizeObservation

import ilpyt
from ilpyt.algos import DQN, PPO
from ilpyt.utils.errors import EnvError


def learns_from(algo_class, env):
    extra = {"learning_starts": 8, "batch_size": 8} if algo_class is DQN else {"batch_size": 8, "num_epochs": 1}
    algo = algo_class(env=env, agent=algo_class.make_agent(env, net={"hidden_sizes": (32,)}, **extra), progress=False)
    before = [p.clone() for p in algo.agent.nets["net" if algo_class is DQN else "actor"].parameters()]
    algo.train(num_steps=16, rollout_steps=4)
    after = algo.agent.nets["net" if algo_class is DQN else "actor"].parameters()
    assert not all(torch.equal(p, q) for p, q in zip(before, after, strict=True))
    assert algo.runner.generate_batch(1).states.dtype == torch.uint8


@pytest.mark.parametrize("algo_class", [DQN, PPO])
def test_pong_through_a_rollout_and_an_update(algo_class):
    pytest.importorskip("ale_py")
    pytest.importorskip("cv2")
    wrappers = [AtariPreprocessing, partial(FrameStackObservation, stack_size=4)]
    with ilpyt.envs.build_env("ALE/Pong-v5", 2, wrappers=wrappers, frameskip=1) as env:
        assert env.observation_shape == (84, 84, 4)
        assert env.num_actions == 6
        learns_from(algo_class, env)


@pytest.mark.parametrize("algo_class", [DQN, PPO])
def test_car_racing_through_a_rollout_and_an_update(algo_class):
    pytest.importorskip("cv2")
    resize = partial(ResizeObservation, shape=(48, 48))
    wrappers = [resize, GrayscaleObservation, partial(FrameStackObservation, stack_size=2)]
    if algo_class is DQN:
        wrappers.append(ilpyt.envs.DiscretizeAction)
    with ilpyt.envs.build_env("CarRacing-v3", 2, wrappers=wrappers) as env:
        assert env.observation_shape == (48, 48, 2)
        learns_from(algo_class, env)


def test_an_atari_game_without_ale_py_says_what_to_install(monkeypatch):
    import importlib

    def absent(name, *args):
        if name == "ale_py":
            raise ImportError("No module named 'ale_py'")
        return original(name, *args)

    original = importlib.import_module
    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(
        EnvError, match=r"'ALE/Pong-v5': can't import the module 'ale_py'.*pip install 'ilpyt\[atari\]'"
    ):
        ilpyt.envs.build_env("ALE/Pong-v5", 1)
