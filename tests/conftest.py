"""What several test files need: the repository's root, the paper's environments."""

from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parents[1]
PAPER_ENV_IDS = [
    "CartPole-v0",
    "MountainCar-v0",
    "MountainCarContinuous-v0",
    "LunarLander-v2",
    "LunarLanderContinuous-v2",
]


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true", help="tests/faults at ten times the size, for a release")


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Tests share two cores; more threads only get in each other's way."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    """Every test works in a folder of its own, so that a default `save_path` leaves nothing behind."""
    monkeypatch.chdir(tmp_path)
