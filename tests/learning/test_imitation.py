"""DAgger, GAIL, GCL and AppL with their presets, from the bundled demonstrations to the paper's thresholds."""

import numpy as np
import pytest

from ilpyt.presets import PAPER_ENVS, SETTINGS, make_algorithm
from tests.conftest import PAPER_ENV_IDS, ROOT

QUICK = [("GAIL", "CartPole-v0"), ("GAIL", "MountainCarContinuous-v0"), ("GCL", "MountainCarContinuous-v0")]
CELLS = [(algo_name, env_id) for algo_name in ("DAgger", "GAIL", "GCL", "AppL") for env_id in PAPER_ENV_IDS]
# Half a minute to four each; docs/table1.md has the figures of all.
SLOW = [
    ("DAgger", "LunarLander-v2"),
    ("GCL", "CartPole-v0"),
    ("GCL", "MountainCar-v0"),
    ("GCL", "LunarLander-v2"),
    ("AppL", "LunarLander-v2"),
    ("AppL", "LunarLanderContinuous-v2"),
]


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("algo_name", "env_id"),
    [pytest.param(*cell, marks=() if cell in QUICK else pytest.mark.long) for cell in CELLS if cell not in SLOW],
)
def test_the_preset_imitates(algo_name, env_id):
    learn_from = {"expert_demos": ROOT / "demos" / env_id / "demos.pkl"}
    if algo_name == "DAgger":
        learn_from = {"expert": PAPER_ENVS[env_id].expert()}
    algo = make_algorithm(algo_name, env_id, progress=False)
    with algo.env:
        algo.train(**SETTINGS[algo_name][env_id].train, **learn_from)
        assert np.mean(algo.test(100)) >= PAPER_ENVS[env_id].threshold
