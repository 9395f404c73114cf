"""DAgger, GAIL, GCL and AppL with their presets, from the bundled demonstrations to the paper's thresholds."""

import numpy as np
import pytest

import ilpyt
from ilpyt.algos import GAIL, GCL, AppL, DAgger
from ilpyt.presets import PAPER_ENVS, SETTINGS
from ilpyt.utils.seed_utils import set_seed
from tests.conftest import PAPER_ENV_IDS, ROOT

QUICK = [(GAIL, "CartPole-v0"), (GAIL, "MountainCarContinuous-v0"), (GCL, "MountainCarContinuous-v0")]
CELLS = [(algo_class, env_id) for algo_class in (DAgger, GAIL, GCL, AppL) for env_id in PAPER_ENV_IDS]
# Half a minute to four each; README.md has the figures of all.
SLOW = [
    (DAgger, "LunarLander-v2"),
    (GCL, "CartPole-v0"),
    (GCL, "MountainCar-v0"),
    (GCL, "LunarLander-v2"),
    (AppL, "LunarLander-v2"),
    (AppL, "LunarLanderContinuous-v2"),
]


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("algo_class", "env_id"),
    [pytest.param(*cell, marks=() if cell in QUICK else pytest.mark.long) for cell in CELLS if cell not in SLOW],
)
def test_the_preset_imitates(algo_class, env_id):
    settings, known = SETTINGS[algo_class.__name__][env_id], PAPER_ENVS[env_id]
    if algo_class is DAgger:
        learn_from = {"expert": known.expert()}
    else:
        learn_from = {"expert_demos": ROOT / "demos" / env_id / "demos.pkl"}
    set_seed(0)
    with ilpyt.envs.build_env(env_id, seed=0, **settings.env) as env:
        agent = algo_class.make_agent(env, net=settings.net, **settings.agent)
        algo = algo_class(env=env, agent=agent, progress=False)
        algo.train(**settings.train, **learn_from)
        assert np.mean(algo.test(100)) >= known.threshold
