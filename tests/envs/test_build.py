"""From ids to environments."""

import logging
import subprocess
import sys

import gymnasium
import numpy as np
import pytest

import ilpyt
from ilpyt.envs import build
from ilpyt.envs.build import build_env
from ilpyt.utils.errors import EnvError
from tests.counter import Counter

NUMPY_2 = int(np.__version__.split(".")[0]) >= 2


def backend(env_id, **kwargs):
    with build_env(env_id, num_env=1, **kwargs) as env:
        return env.description["backend"], env.description["env_id"]


def test_a_bare_id_is_gymnasiums():
    assert backend("CartPole-v0") == ("gymnasium", "CartPole-v0")


@pytest.mark.parametrize("env_id", ["LunarLander-v2", "LunarLanderContinuous-v2"])
def test_a_renamed_successor_is_used_and_said_once(env_id, caplog):
    build._announced.discard(env_id)
    with caplog.at_level(logging.WARNING, "ilpyt"):
        for _ in range(2):
            assert backend(env_id) == ("gymnasium", env_id.replace("v2", "v3"))
    assert len(caplog.records) == 1
    assert env_id.replace("v2", "v3") in caplog.text


@pytest.mark.parametrize("env_id", ["CartPole-v1", "LunarLander-v2", "MountainCarContinuous-v0"])
def test_a_prefix_names_the_package(env_id):
    assert backend(f"gym:{env_id}") == ("gym", env_id)
    with build_env(f"gym:{env_id}", num_env=2) as env:
        env.reset()
        actions = [0, 0] if env.type == "discrete" else np.zeros((2, env.num_actions))
        assert env.step(actions)[0].shape == (2, *env.observation_shape)


def test_an_environment_that_only_gym_has():
    import gym

    class Own(gym.Env):
        observation_space = gym.spaces.Box(-1, 1, (2,), np.float32)
        action_space = gym.spaces.Discrete(2)

        def reset(self, seed=None, options=None):
            return np.zeros(2, np.float32), {}

        def step(self, action):
            return np.zeros(2, np.float32), 0.0, False, False, {}

    gym.register("OnlyInGym-v0", entry_point=Own)
    for kind in ("dummy", "subproc"):
        assert backend("OnlyInGym-v0", vecenv_type=kind) == ("gym", "OnlyInGym-v0")


def test_keywords_go_to_make():
    gymnasium.register("Counting-v0", entry_point=Counter)
    with build_env("Counting-v0", num_env=2, length=3) as env:
        env.reset()
        assert [env.step([0, 0])[2].all() for _ in range(3)] == [False, False, True]


def test_what_a_script_has_registered_by_its_own_name_is_found_in_worker_processes(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "import gymnasium, ilpyt\n"
        "from gymnasium.envs.classic_control import CartPoleEnv\n"
        "class Mine(CartPoleEnv): pass\n"
        "gymnasium.register('Mine-v0', entry_point='__main__:Mine')\n"
        "print(ilpyt.envs.build_env('Mine-v0', num_env=2, vecenv_type='subproc').reset().shape)\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("(2, 4)\n", "")


def test_a_function_makes_environments():
    with build_env(lambda: Counter(length=1), num_env=3) as env:
        assert (env.num_envs, len(env), env.description["env_id"]) == (3, 3, "Counter")
    with pytest.raises(TypeError, match="length: keywords go with an id"):
        build_env(Counter, length=3)


def test_a_module_is_imported_first(tmp_path, monkeypatch):
    (tmp_path / "registers_one.py").write_text(
        "import gymnasium\n"
        "from tests.counter import Counter\n"
        "gymnasium.register('FromModule-v0', entry_point=Counter)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert backend("registers_one:FromModule-v0") == ("gymnasium", "FromModule-v0")
    with pytest.raises(EnvError, match="can't import the module 'nowhere_to_be_found'"):
        build_env("nowhere_to_be_found:Env-v0")


def test_an_unknown_id_lists_the_nearest():
    with pytest.raises(EnvError, match=r"no environment 'CartPol-v1'. Did you mean .*CartPole-v1"):
        build_env("CartPol-v1")
    with pytest.raises(EnvError, match="Register it first"):
        build_env("xqzw")
    with pytest.raises(EnvError, match="gymnasium: "):
        build_env("gymnasium:LunarLander-v7")


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"num_env": 0}, "at least 1, got 0"),
        ({"num_env": 2.0}, "got 2.0"),
        ({"vecenv_type": "process"}, "'dummy', 'subproc'"),
    ],
)
def test_wrong_arguments_are_named(kwargs, message):
    with pytest.raises(ValueError, match=message):
        build_env("CartPole-v1", **kwargs)
    with pytest.raises(TypeError, match="got 7"):
        build_env(7)


@pytest.mark.skipif(not NUMPY_2, reason="gym runs all of its environments on NumPy 1")
def test_what_gym_cant_run_on_this_numpy_says_the_way_out():
    with pytest.raises(EnvError, match="numpy<2") as error:
        with build_env("gym:CarRacing-v2", num_env=1) as env:
            env.reset()
            for _ in range(3):
                env.step(np.full((1, 3), 0.3))
    assert "gymnasium" in str(error.value)
    with pytest.raises(EnvError, match="numpy<2"):
        with build_env("gym:Acrobot-v1", num_env=1) as env:
            env.reset()
            env.step([0])


@pytest.mark.skipif(NUMPY_2, reason="gym doesn't run all of its environments on NumPy 2")
@pytest.mark.parametrize("env_id", ["LunarLanderContinuous-v2", "CarRacing-v2", "Acrobot-v1"])
def test_gym_runs_its_own_environments_on_numpy_1(env_id):
    with build_env(f"gym:{env_id}", num_env=2) as env:
        env.reset()
        for _ in range(5):
            actions = np.zeros(2, int) if env.type == "discrete" else np.zeros((2, env.num_actions))
            assert env.step(actions)[0].shape == (2, *env.observation_shape)


def test_gyms_notice_stays_away(capfd):
    code = "import ilpyt; ilpyt.envs.build_env('gym:CartPole-v1', num_env=1).close()"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    assert capfd.readouterr() == ("", "")


def test_both_spellings():
    assert ilpyt.envs.SubprocVecEnv is ilpyt.envs.SubProcVecEnv
