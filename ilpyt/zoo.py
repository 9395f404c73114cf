"""The model zoo: an agent of every algorithm, trained on each of the paper's environments.

    agent = ilpyt.zoo.load("GAIL", "LunarLander-v2")
    with ilpyt.envs.build_env("LunarLander-v2", num_env=16) as env:
        returns = ilpyt.runners.evaluate(agent, env, num_episodes=100)

They lie in the repository's `model_zoo/<algorithm>/<env_id>/`: the weights of all networks, and `card.json`.
`load_run` makes the agent of a run of your own again.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ilpyt.agents import BaseAgent
from ilpyt.algos.run_folder import read_config
from ilpyt.envs import VecEnv, build_env
from ilpyt.envs.build import imports_module
from ilpyt.presets import Settings, find_settings, make_agent
from ilpyt.presets.settings import IF_TRUSTED
from ilpyt.utils.errors import DataError
from ilpyt.utils.versions import package_versions

ZOO = Path(__file__).parents[1] / "model_zoo"


@dataclass
class Policy:
    """A trained agent, and where it acts.

    Attributes:
        agent: in test mode: its `step` acts greedily.
        env_id: its environment.
        env_kwargs: keywords of `build_env` that it needs there, such as wrappers.
    """

    agent: BaseAgent
    env_id: str
    env_kwargs: dict[str, Any]

    def build_env(self, **kwargs: Any) -> VecEnv:
        """Environments that it can act in; `kwargs` of `ilpyt.envs.build_env` go before its own."""
        return build_env(self.env_id, **{**self.env_kwargs, **kwargs})


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
    return _load(cell, algo, env_id, find_settings(algo, env_id)).agent


def load_run(folder: str | Path, env_id: str | None = None, *, trusted: bool = False) -> Policy:
    """The agent that a run has trained, with the latest weights in its folder.

    It is made again by what `config.json` says: exactly, if `ilpyt.presets.make_algorithm` or the command line made it;
    else by the algorithm's defaults, if these give the networks that the file describes.

    Args:
        folder: the run's `save_path`.
        env_id: another environment than the one in the file.
        trusted: the file is no stranger's: modules that it names, for an environment or a wrapper, are imported.

    Raises:
        FileNotFoundError: there is no such run, or no weights.
        DataError: `config.json` is broken, or the agent can't be made again by it.
    """
    config = read_config(folder)
    recipe = config.get("recipe") or _guess(config, folder)
    if env_id is None:
        env_id = str(recipe.get("env_id"))
        check_names_no_module(env_id, folder, trusted=trusted)
    try:
        settings = Settings.read(recipe, trusted=trusted)
        policy = _load(Path(folder), recipe["algorithm"], env_id, settings)
    except (DataError, TypeError, ValueError) as error:
        raise DataError(f"the agent of {folder} can't be made again: {error}{_because(config)}") from error
    made = {name: str(net) for name, net in policy.agent.named_nets()}
    if "recipe" not in config and made != config["nets"]:
        raise DataError(
            f"{folder} was trained by a script, with other networks than {recipe['algorithm']}'s defaults: load it "
            "there, by load_path or agent.load"
        )
    return policy


def _guess(config: dict[str, Any], folder: str | Path) -> dict[str, Any]:
    """A recipe for the run of a script that made its agent itself: the algorithm's defaults."""
    env = config["env"]
    if made := {"wrappers", "make_kwargs"} & env.keys():
        raise DataError(
            f"{folder} was trained by a script, in environments with {' and '.join(sorted(made))} of its own: load it "
            "there, by load_path or agent.load"
        )
    return {"algorithm": config["algorithm"], "env_id": env.get("env_id")}


def find(policy: str | Path, env_id: str | None = None, *, trusted: bool = False) -> Policy:
    """The agent of a run by its folder, or one of the zoo by its name, such as 'GAIL/LunarLander-v2'.

    Raises:
        FileNotFoundError, DataError, ValueError: see `load_run` and `load`.
    """
    if Path(policy).is_dir():
        return load_run(policy, env_id, trusted=trusted)
    algo, _, cell = str(policy).partition("/")
    if not cell or str(policy).startswith((".", "/")):
        raise FileNotFoundError(
            f"there is no folder {str(policy)!r}; a policy is a run's folder, or one of the zoo: 'GAIL/LunarLander-v2'"
        )
    settings = find_settings(algo, cell)
    return _load(_cell(algo, cell, ZOO), algo, cell if env_id is None else env_id, settings)


def check_names_no_module(env_id: str, source: str | Path, *, trusted: bool) -> None:
    """Refuse an environment's id that is in a file, if a module would be imported for it.

    Raises:
        DataError: it would, and the file isn't trusted.
    """
    if imports_module(env_id) and not trusted:
        raise DataError(f"{source} would import a module for {env_id!r}{IF_TRUSTED}")


def _load(folder: Path, algo: str, env_id: str, settings: Settings) -> Policy:
    """The agent of these settings with the weights in a folder, in test mode."""
    own = {name: value for name, value in settings.env.items() if name not in ("num_env", "vecenv_type", "timeout")}
    with build_env(env_id, num_env=1, **own) as env:
        agent = make_agent(algo, env, settings)
    agent.load(folder)
    agent.set_test()
    return Policy(agent, env_id, own)


def _because(config: dict[str, Any]) -> str:
    """A reason that may be behind it: it was written by another version."""
    wrote, this = config["versions"].get("ilpyt"), package_versions()["ilpyt"]
    return "" if wrote == this else f" (it was written by ilpyt {wrote}, this is {this})"


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
