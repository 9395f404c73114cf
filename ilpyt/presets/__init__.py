"""What is known about the paper's five environments, and settings that learn them.

Settings are data, and nothing in the library branches on an environment: `SETTINGS[algorithm][env_id]`.
`make_algorithm(algorithm, env_id)` makes an algorithm by them.
"""

import difflib
from contextlib import suppress
from typing import Any

from ilpyt.agents import BaseAgent
from ilpyt.algos import ALGORITHMS, BaseAlgorithm
from ilpyt.envs import VecEnv, build_env
from ilpyt.presets.a2c import A2C
from ilpyt.presets.appl import APPL
from ilpyt.presets.bc import BC
from ilpyt.presets.dagger import DAGGER
from ilpyt.presets.dqn import DQN
from ilpyt.presets.gail import GAIL
from ilpyt.presets.gcl import GCL
from ilpyt.presets.paper import PAPER_ENVS, PaperEnv
from ilpyt.presets.ppo import PPO
from ilpyt.presets.settings import Settings, spell
from ilpyt.utils.seed_utils import set_seed

SETTINGS: dict[str, dict[str, Settings]] = {
    "BC": BC,
    "DAgger": DAGGER,
    "GAIL": GAIL,
    "GCL": GCL,
    "AppL": APPL,
    "DQN": DQN,
    "A2C": A2C,
    "PPO": PPO,
}

# Keywords of a constructor that nothing learnt hangs on.
INCIDENTAL = ("save_path", "progress", "sinks", "video_interval")


def make_algorithm(
    algo: str, env_id: str, seed: int = 0, settings: Settings | None = None, **kwargs: Any
) -> BaseAlgorithm:
    """An algorithm with its agent and environments, by settings.

        algo = make_algorithm("GAIL", "CartPole-v0")
        algo.train(**SETTINGS["GAIL"]["CartPole-v0"].train, expert_demos="demos/CartPole-v0/demos.pkl")

    Its runs say in `config.json` how it was made, so that `ilpyt.zoo.load_run` can make the agent again.

    Args:
        algo: its name, a key of `SETTINGS`.
        env_id: the environment.
        seed: of the random numbers of Python, NumPy and PyTorch, and of the environments.
        settings: None: those for one of the paper's environments, a key of `PAPER_ENVS`.
        kwargs: of the algorithm: `save_path`, `load_path`, `use_gpu`, `progress`.

    Returns:
        the algorithm; close its environments when done, by `algo.env.close()` or `with algo.env:`.

    Raises:
        ValueError: there is no such algorithm, or there are no settings for it in this environment.
    """
    settings = find_settings(algo, env_id) if settings is None else settings
    kind = find_algorithm(algo)
    set_seed(seed)
    env = build_env(env_id, seed=seed, **settings.env)
    try:
        algorithm = kind(agent=make_agent(algo, env, settings), env=env, **kwargs)
    except BaseException:
        env.close()
        raise
    with suppress(ValueError):  # what a file can't say is left to the script that says it
        spelled = settings.spell()
        del spelled["train"]  # what it is trained with is for `train` to say
        initialize = spell({name: value for name, value in kwargs.items() if name not in INCIDENTAL})
        algorithm.recipe = {"algorithm": algo, "env_id": env_id, "seed": seed, **spelled, "initialize": initialize}
    return algorithm


def make_agent(algo: str, env: VecEnv, settings: Settings) -> BaseAgent:
    """The agent of an algorithm, by settings."""
    return find_algorithm(algo).make_agent(env, net=settings.net, **settings.agent)


def find_algorithm(algo: str) -> type[BaseAlgorithm]:
    """`ALGORITHMS[algo]`.

    Raises:
        ValueError: there is none; the message has the names that there are.
    """
    if algo not in ALGORITHMS:
        nearest = difflib.get_close_matches(algo.upper(), [name.upper() for name in ALGORITHMS], n=1, cutoff=0.5)
        hint = "".join(f" Did you mean {name}?" for name in ALGORITHMS if name.upper() in nearest)
        raise ValueError(f"there is no algorithm {algo!r}.{hint} There are {', '.join(ALGORITHMS)}.")
    return ALGORITHMS[algo]


def find_settings(algo: str, env_id: str) -> Settings:
    """`SETTINGS[algo][env_id]`.

    Raises:
        ValueError: there are none; the message has the names that there are.
    """
    find_algorithm(algo)
    if env_id not in SETTINGS[algo]:
        raise ValueError(f"{algo} has no settings for {env_id!r}, but for {', '.join(SETTINGS[algo])}")
    return SETTINGS[algo][env_id]


__all__ = [
    "PAPER_ENVS",
    "SETTINGS",
    "PaperEnv",
    "Settings",
    "find_algorithm",
    "find_settings",
    "make_agent",
    "make_algorithm",
]
