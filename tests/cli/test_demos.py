"""`ilpyt demos`: what it prints, writes and how it ends."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from ilpyt.cli import main
from ilpyt.cli.demos import convert, info
from ilpyt.runners import Experiences
from ilpyt.utils.errors import DataError, SaveError
from tests.conftest import ROOT

CARTPOLE = str(ROOT / "demos" / "CartPole-v0" / "demos.pkl")


def test_info_prints_the_description(capsys):
    info(CARTPOLE)
    out = capsys.readouterr().out
    assert "return       200.00 +/- 0.00" in out
    assert out.endswith("problems\n  none found\n")


def test_info_ends_with_1_where_nothing_can_be_learnt(capsys):
    Experiences.from_arrays(np.zeros((2, 5)), [0, 1], dones=[0, 1], metadata={"env_id": "CartPole-v1"}).save("a.npz")
    with pytest.raises(SystemExit) as end:
        info("a.npz")
    assert end.value.code == 1
    assert "ERROR  " in capsys.readouterr().out


def equal(a, b):
    return all(torch.equal(getattr(a, name), getattr(b, name)) for name in ("states", "actions", "rewards", "dones"))


def test_convert_from_pkl_to_npz_and_back(capsys):
    convert(CARTPOLE, "a.npz")
    convert("a.npz", "b.pkl")
    assert equal(Experiences.load("b.pkl"), Experiences.load(CARTPOLE))
    assert Experiences.load("b.pkl").metadata == Experiences.load(CARTPOLE).metadata
    assert capsys.readouterr().out.splitlines()[0] == "a.npz: Experiences(100 episodes, 20000 transitions)"


def test_convert_overwrites_a_file_only_by_force():
    convert(CARTPOLE, "a.npz")
    Experiences.load(CARTPOLE)[:400].save("b.npz")
    with pytest.raises(SaveError, match=r"b\.npz is there already: --force overwrites it"):
        convert("a.npz", "b.npz")
    assert len(Experiences.load("b.npz")) == 400
    convert("a.npz", "b.npz", force=True)
    assert len(Experiences.load("b.npz")) == 20000


def test_force_is_a_flag_and_never_overwrites_a_dataset_of_minari(tmp_path, monkeypatch):
    pytest.importorskip("minari")
    pytest.importorskip("tyro")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "datasets"))
    Experiences.load(CARTPOLE)[:400].save("few.npz")
    for arguments in (["few.npz", "b.npz"], ["few.npz", "b.npz", "--force"], ["few.npz", "minari:a-v0"]):
        main(["demos", "convert", *arguments])
    with pytest.raises(SystemExit, match="there is a Minari dataset 'a-v0'"):
        main(["demos", "convert", "few.npz", "minari:a-v0", "--force"])


def test_convert_to_minari_and_back(tmp_path, monkeypatch):
    minari = pytest.importorskip("minari")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "datasets"))
    Experiences.load(CARTPOLE)[:400].save("few.npz")
    convert("few.npz", "minari:CartPole/expert-v0")
    assert minari.load_dataset("CartPole/expert-v0").env_spec.id == "CartPole-v0"
    convert("minari:CartPole/expert-v0", "back.npz")
    assert equal(Experiences.load("back.npz"), Experiences.load("few.npz"))
    bare = Experiences.load("few.npz")
    bare.metadata.clear()
    bare.save("bare.npz")
    with pytest.raises(DataError, match=r"bare.npz doesn't say which environment it is from: --env ID"):
        convert("bare.npz", "minari:CartPole/bare-v0")
    convert("bare.npz", "minari:CartPole/bare-v0", env="CartPole-v1")
    assert minari.load_dataset("CartPole/bare-v0").env_spec.id == "CartPole-v1"


def test_the_module_waits_with_torch_until_it_is_needed():
    code = "import sys, ilpyt.cli.demos; print('torch' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert out.stdout.strip() == "False"
