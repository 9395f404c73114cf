"""Seeds, atomic files, logs, the package itself."""

import csv
import os
import random
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

import ilpyt
from ilpyt.utils.checkpoint import atomic_write, saved_steps
from ilpyt.utils.errors import MissingExtraError, TrainingInterrupted
from ilpyt.utils.extras import require
from ilpyt.utils.logger import CSVSink
from ilpyt.utils.seed_utils import preserved_random_state, set_seed


def draws():
    return random.random(), np.random.rand(), torch.rand(()).item()


def test_set_seed_seeds_all_generators():
    set_seed(3)
    first = draws()
    set_seed(3)
    assert draws() == first
    assert draws() != first


def test_random_state_is_preserved_also_after_an_error():
    set_seed(3)
    expected = draws()
    set_seed(3)
    with pytest.raises(KeyError), preserved_random_state():
        set_seed(9)
        draws()
        raise KeyError
    assert draws() == expected


def test_atomic_write_leaves_the_old_file_when_writing_fails(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(KeyError), atomic_write(path) as file:
        file.write(b"half of the n")
        raise KeyError
    assert path.read_text() == "old"
    with atomic_write(path) as file:
        file.write(b"new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["file"]


def test_saved_steps_are_numbers_of_exactly_this_name(tmp_path):
    for name in ("net_2.pth", "net_10.pth", "net_x_3.pth", "net_1.pt", "my_net_4.pth", "net_.pth"):
        (tmp_path / name).touch()
    assert saved_steps(tmp_path, "net") == [2, 10]


def test_csv_grows_columns_and_goes_on_in_an_old_file(tmp_path):
    for _ in range(2):
        sink = CSVSink(tmp_path / "progress.csv")
        sink.write(1, {"loss": 0.5})
        sink.write(2, {"loss": 0.25, "eval": 7})
    with open(tmp_path / "progress.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["eval"] for row in rows] == ["", "7", "", "7"]
    assert [row["loss"] for row in rows] == ["0.5", "0.25"] * 2


def test_an_interrupt_is_a_keyboard_interrupt_to_code_and_130_to_a_shell():
    with pytest.raises(KeyboardInterrupt):
        raise TrainingInterrupted
    code = "from ilpyt.utils.errors import TrainingInterrupted; raise TrainingInterrupted"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")


def python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)


def test_import_says_nothing_and_touches_nothing_global():
    code = """
import logging, random, numpy, torch, warnings
def state():
    generators = random.getstate(), numpy.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    return *generators, torch.get_num_threads()
before = state()
handlers, filters = list(logging.root.handlers), list(warnings.filters)
import ilpyt, ilpyt.algos, ilpyt.envs, ilpyt.nets, ilpyt.runners, ilpyt.agents, ilpyt.presets
assert state() == before
assert warnings.filters[-len(filters):] == filters
assert logging.root.handlers == handlers and logging.getLogger("ilpyt").handlers == []
assert torch.is_grad_enabled() and torch.get_default_dtype() == torch.float32
"""
    done = python(code)
    assert (done.stdout, done.stderr) == ("", "")


def test_envs_dont_import_torch():
    python("import sys, ilpyt.envs.worker; assert 'torch' not in sys.modules and 'gym' not in sys.modules")


def test_the_package_gives_its_parts_and_no_others():
    assert ilpyt.envs.build_env
    assert ilpyt.nets.choose_net
    assert "algos" in dir(ilpyt)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = ilpyt.nothing


def test_old_import_paths():
    from ilpyt.runners.runner import Experiences, Runner
    from ilpyt.utils.env_utils import build_env
    from ilpyt.utils.net_utils import choose_net

    assert (build_env, choose_net) == (ilpyt.envs.build_env, ilpyt.nets.choose_net)
    assert (Experiences, Runner) == (ilpyt.runners.Experiences, ilpyt.runners.Runner)


def test_time_is_kept():
    from ilpyt.utils.logger import Logger, Sink

    class Keeps(Sink):
        def write(self, step, metrics):
            self.last = step, dict(metrics)

    sink = Keeps()
    logger = Logger([sink])
    time.sleep(0.01)
    logger.write(4, {"loss": 1.0})
    step, metrics = sink.last
    assert (step, metrics["loss"]) == (4, 1.0)
    assert metrics["seconds"] >= 0.01


def test_what_is_missing_is_named_with_its_extra(monkeypatch):
    assert require("json.decoder", "json") is sys.modules["json.decoder"]
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(MissingExtraError, match=r"^this needs wandb: pip install 'ilpyt\[wandb\]'$"):
        require("wandb", "wandb")
    with pytest.raises(ImportError):
        require("wandb.sdk", "wandb")


def test_a_package_that_is_there_but_broken_says_so_itself(tmp_path, monkeypatch):
    (tmp_path / "broken_package.py").write_text("import what_it_needs_is_missing")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="what_it_needs_is_missing") as raised:
        require("broken_package", "extra")
    assert not isinstance(raised.value, MissingExtraError)
