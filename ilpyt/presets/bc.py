"""Settings of behavioral cloning: one clones all five experts.

Normalised inputs matter to MountainCar, whose velocities are 20 times smaller than its positions. Learning rate,
batch size and patience had the least loss on held-out episodes of LunarLander-v2 (0.029 and 0.037 for seeds 0 and 1;
0.062 and 0.061 with 1e-3, 64, 15); returns played no part in choosing them.
"""

from ilpyt.presets.paper import PAPER_ENVS
from ilpyt.presets.settings import Settings

BC = dict.fromkeys(
    PAPER_ENVS,
    Settings(net={"normalize": True}, agent={"lr": 3e-3}, train={"num_epochs": 200, "batch_size": 64, "patience": 30}),
)
