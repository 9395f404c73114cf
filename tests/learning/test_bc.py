"""Cloning the paper's experts from the bundled demonstrations, to the paper's thresholds."""

import numpy as np
import pytest

import ilpyt
from ilpyt.agents import ImitationAgent
from ilpyt.algos import BC
from ilpyt.nets import choose_net
from ilpyt.presets import PAPER_ENVS, SETTINGS
from ilpyt.utils.seed_utils import set_seed
from tests.conftest import PAPER_ENV_IDS, ROOT

QUICK = ["CartPole-v0", "MountainCar-v0"]


@pytest.mark.parametrize(
    "env_id", [pytest.param(e, marks=() if e in QUICK else pytest.mark.long) for e in PAPER_ENV_IDS]
)
def test_bc_solves(env_id):
    settings = SETTINGS["BC"][env_id]
    set_seed(1)
    with ilpyt.envs.build_env(env_id) as env:
        agent = ImitationAgent(choose_net(env, **settings.net), **settings.agent)
        algo = BC(agent=agent, env=env, progress=False)
        algo.train(expert_demos=ROOT / "demos" / env_id / "demos.pkl", **settings.train)
        assert np.mean(algo.test(100)) >= PAPER_ENVS[env_id].threshold
