"""Settings of DAgger: one imitates all five experts.

A slow learning rate at the end isn't needed, since the least validation loss selects the iteration. Returns played no
part in choosing these.
"""

from ilpyt.presets.paper import PAPER_ENVS
from ilpyt.presets.settings import Settings

DAGGER = dict.fromkeys(
    PAPER_ENVS,
    Settings(
        env={"num_env": 16},
        net={"normalize": True},
        agent={"lr": 1e-3},
        train={"num_episodes": 20, "batch_size": 64, "num_epochs": 5, "T_steps": 50},
    ),
)
