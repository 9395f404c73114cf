"""Same seed, same versions, one thread of PyTorch: the same weights to the bit, in either kind of VecEnv."""

import hashlib
import subprocess
import sys

import pytest
import torch

import ilpyt
from ilpyt.agents import CartPoleHeuristicAgent, MountainCarContinuousHeuristicAgent
from ilpyt.algos import ALGORITHMS
from ilpyt.envs import DiscretizeAction
from ilpyt.runners import Experiences
from ilpyt.utils.seed_utils import set_seed
from tests.algos.test_resume import CASES, NET
from tests.conftest import ROOT

EXPERTS = {"CartPole-v0": CartPoleHeuristicAgent, "MountainCarContinuous-v0": MountainCarContinuousHeuristicAgent}


def weights_hash(name, env_id, vecenv_type, seed, save_path):
    """SHA-256 of all weights after a short training."""
    torch.set_num_threads(1)
    set_seed(seed)
    wrappers = [DiscretizeAction] if name == "DQN" and env_id == "MountainCarContinuous-v0" else []
    with ilpyt.envs.build_env(env_id, num_env=4, seed=seed, vecenv_type=vecenv_type, wrappers=wrappers) as env:
        agent = ALGORITHMS[name].make_agent(env, net={**NET, "normalize": True}, **CASES[name][0])
        algo = ALGORITHMS[name](agent=agent, env=env, save_path=save_path, progress=False)
        demos = Experiences.load(ROOT / f"demos/{env_id}/demos.pkl")[:400]
        learn_from = {"expert": EXPERTS[env_id]()} if name == "DAgger" else {"expert_demos": demos}
        algo.train(**{**CASES[name][1], **({} if name in ("DQN", "A2C", "PPO") else learn_from)})
        returns = algo.test(4)
    digest = hashlib.sha256(repr(returns).encode())
    for net, weights in sorted(algo.agent.get_weights().items()):
        for key, tensor in sorted(weights.items()):
            digest.update(f"{net}.{key}".encode() + tensor.numpy().tobytes())
    return digest.hexdigest()


@pytest.mark.parametrize(
    ("name", "env_id"),
    [
        *((name, "CartPole-v0") for name in CASES),
        *((name, "MountainCarContinuous-v0") for name in ("BC", "DQN", "PPO")),
    ],
)
@pytest.mark.timeout(400)
def test_one_seed_gives_one_hash(name, env_id, tmp_path):
    """In this process, in worker processes, and in a process of its own, whatever hashes it gives to strings."""
    dummy = weights_hash(name, env_id, "dummy", 0, tmp_path / "dummy")
    assert weights_hash(name, env_id, "subproc", 0, tmp_path / "subproc") == dummy
    assert weights_hash(name, env_id, "dummy", 1, tmp_path / "another") != dummy
    script = f"from tests.faults.test_determinism import *; print(weights_hash{(name, env_id, 'dummy', 0, 'own')})"
    env = {"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "7", "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path, env=env, timeout=100
    )
    assert done.stdout.strip() == dummy, done.stderr
