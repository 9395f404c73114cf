"""What is known about the paper's five environments, and settings that learn them.

Settings are data, and nothing in the library branches on an environment: `SETTINGS[algorithm][env_id]`.
`make_algorithm(algorithm, env_id)` makes an algorithm by them.
"""

from typing import Any

from ilpyt.algos import ALGORITHMS, BaseAlgorithm
from ilpyt.envs import build_env
from ilpyt.presets.a2c import A2C
from ilpyt.presets.appl import APPL
from ilpyt.presets.bc import BC
from ilpyt.presets.dagger import DAGGER
from ilpyt.presets.dqn import DQN
from ilpyt.presets.gail import GAIL
from ilpyt.presets.gcl import GCL
from ilpyt.presets.paper import PAPER_ENVS, PaperEnv
from ilpyt.presets.ppo import PPO
from ilpyt.presets.settings import Settings
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


def make_algorithm(algo: str, env_id: str, seed: int = 0, **kwargs: Any) -> BaseAlgorithm:
    """An algorithm with its agent and environments, by the settings for one of the paper's environments.

        algo = make_algorithm("GAIL", "CartPole-v0")
        algo.train(**SETTINGS["GAIL"]["CartPole-v0"].train, expert_demos="demos/CartPole-v0/demos.pkl")

    Args:
        algo: its name, a key of `SETTINGS`.
        env_id: the environment, a key of `PAPER_ENVS`.
        seed: of the random numbers of Python, NumPy and PyTorch, and of the environments.
        kwargs: of the algorithm: `save_path`, `load_path`, `use_gpu`, `progress`.

    Returns:
        the algorithm; close its environments when done, by `algo.env.close()` or `with algo.env:`.

    Raises:
        ValueError: there are no settings for this algorithm and environment.
    """
    settings = find_settings(algo, env_id)
    set_seed(seed)
    env = build_env(env_id, seed=seed, **settings.env)
    agent = ALGORITHMS[algo].make_agent(env, net=settings.net, **settings.agent)
    return ALGORITHMS[algo](agent=agent, env=env, **kwargs)


def find_settings(algo: str, env_id: str) -> Settings:
    """`SETTINGS[algo][env_id]`.

    Raises:
        ValueError: there are none; the message has the names that there are.
    """
    if algo not in SETTINGS:
        raise ValueError(f"there are no settings for an algorithm {algo!r}, but for {', '.join(SETTINGS)}")
    if env_id not in SETTINGS[algo]:
        raise ValueError(f"{algo} has no settings for {env_id!r}, but for {', '.join(SETTINGS[algo])}")
    return SETTINGS[algo][env_id]


__all__ = ["PAPER_ENVS", "SETTINGS", "PaperEnv", "Settings", "find_settings", "make_algorithm"]
