"""Cloning the paper's experts from the bundled demonstrations, to the paper's thresholds."""

import numpy as np
import pytest

from ilpyt.presets import PAPER_ENVS, SETTINGS, make_algorithm
from tests.conftest import PAPER_ENV_IDS, ROOT

QUICK = ["MountainCar-v0"]


@pytest.mark.parametrize(
    "env_id", [pytest.param(e, marks=() if e in QUICK else pytest.mark.long) for e in PAPER_ENV_IDS]
)
def test_bc_solves(env_id):
    algo = make_algorithm("BC", env_id, seed=1, progress=False)
    with algo.env:
        algo.train(expert_demos=ROOT / "demos" / env_id / "demos.pkl", **SETTINGS["BC"][env_id].train)
        assert np.mean(algo.test(100)) >= PAPER_ENVS[env_id].threshold
