"""The model zoo: an agent of every algorithm, trained on each of the paper's environments.

    agent = ilpyt.zoo.load("GAIL", "LunarLander-v2")
    with ilpyt.envs.build_env("LunarLander-v2", num_env=16) as env:
        returns = ilpyt.runners.evaluate(agent, env, num_episodes=100)

They lie in the repository's `model_zoo/<algorithm>/<env_id>/`: the weights of all networks, and `card.json`.
"""

import json
from pathlib import Path
from typing import Any

from ilpyt.agents import BaseAgent
from ilpyt.algos import ALGORITHMS
from ilpyt.envs import build_env
from ilpyt.presets import find_settings

ZOO = Path(__file__).parents[1] / "model_zoo"


def load(algo: str, env_id: str, folder: str | Path = ZOO) -> BaseAgent:
    """A trained agent, in test mode: its `step` acts greedily.

    It has the weights of all its networks, so that it can also be trained further; optimizers, schedules and a replay
    memory begin anew.

    It acts in environments with the spaces of those that it was trained in, `SETTINGS[algo][env_id].env` of
    `ilpyt.presets`. That matters to DQN on continuous actions, which it takes from a grid:

        agent = ilpyt.zoo.load("DQN", "LunarLanderContinuous-v2")
        env = ilpyt.envs.build_env("LunarLanderContinuous-v2", wrappers=[ilpyt.envs.DiscretizeAction])

    Args:
        algo: 'BC', 'DAgger', 'GAIL', 'GCL', 'AppL', 'DQN', 'A2C' or 'PPO'.
        env_id: one of the paper's environments, such as 'LunarLander-v2'.
        folder: of the zoo.

    Raises:
        ValueError: there is no such algorithm or environment in it.
        FileNotFoundError: the zoo isn't there.
        DataError: its weights are broken, or not of the networks that the settings ask for.
    """
    cell = _cell(algo, env_id, folder)
    settings = find_settings(algo, env_id)
    with build_env(env_id, **{**settings.env, "num_env": 1}) as env:
        agent = ALGORITHMS[algo].make_agent(env, net=settings.net, **settings.agent)
    agent.load(cell)
    agent.set_test()
    return agent


def card(algo: str, env_id: str, folder: str | Path = ZOO) -> dict[str, Any]:
    """What is known about an agent of the zoo.

    Args, errors: see `load`.

    Returns:
        the result of its training: `mean` and `std` of the returns of 100 test episodes and these `returns`; training
        `seed`, `command`, `settings`, `config`, `versions` and `machine`; `env_steps`, `updates` (of gradients),
        `seconds` of training, `test_seconds`, `peak_memory_mb`; `evaluations` in training: env steps, seconds, return.
    """
    return dict(json.loads((_cell(algo, env_id, folder) / "card.json").read_text()))


def _cell(algo: str, env_id: str, folder: str | Path) -> Path:
    """Where an agent lies."""
    find_settings(algo, env_id)
    cell = Path(folder) / algo / env_id
    if not (cell / "card.json").is_file():
        raise FileNotFoundError(
            f"{cell.absolute()} has no card.json; the zoo lies in model_zoo/ of ilpyt's repository, which an "
            "installation from elsewhere doesn't have: give its path as `folder`"
        )
    return cell
