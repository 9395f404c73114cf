"""What is known about the paper's five environments, and settings that learn them.

All of it is data; nothing in the library branches on an environment. `SETTINGS[algorithm][env_id]`.
"""

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

__all__ = ["PAPER_ENVS", "SETTINGS", "PaperEnv", "Settings"]
