"""What several test files need: the repository's root, the paper's environments."""

import sys
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


@pytest.fixture
def strangers_module(tmp_path, monkeypatch):
    """The name of a module that could be imported, and that mustn't be: it would leave a mark."""
    folder = tmp_path / "strangers_folder"
    folder.mkdir()
    (folder / "strangers_module.py").write_text(
        "from pathlib import Path\nPath(__file__).with_name('mark').touch()\nFoo = object\n"
    )
    monkeypatch.syspath_prepend(folder)
    yield "strangers_module"
    assert not (folder / "mark").exists(), "it was imported"
    assert "strangers_module" not in sys.modules


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    """Every test works in a folder of its own, so that a default `save_path` leaves nothing behind."""
    monkeypatch.chdir(tmp_path)
