"""The examples, run as a newcomer runs them."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest
import torch

import ilpyt
from ilpyt.runners import Experiences
from tests.conftest import ROOT


def run(script, *arguments, timeout=100):
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / script, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_example_bc_trains_tests_and_compares(tmp_path):
    out = run("example_bc.py", "--env", "MountainCarContinuous-v0", "--save-path", tmp_path / "run")
    returns = np.load(tmp_path / "run/test_results.npy")
    assert len(returns) == 100
    line = next(line for line in out.splitlines() if line.startswith("MountainCarContinuous-v0 "))
    assert f"{returns.mean():.2f} +/- {returns.std():.2f}" in line
    assert re.search(r"93\.36 \+/- 0\.05 +90 +93\.35 +solved", line)  # the expert, the threshold, the paper
    again = run(
        "example_bc.py",
        "--env",
        "MountainCarContinuous-v0",
        "--save-path",
        tmp_path / "again",
        "--load-path",
        tmp_path / "run",
    )
    assert line in again


@pytest.mark.long
def test_example_rl_trains_tests_and_compares(tmp_path):
    arguments = ["--algo", "PPO", "--env", "MountainCarContinuous-v0"]
    out = run("example_rl.py", *arguments, "--save-path", tmp_path / "run")
    returns = np.load(tmp_path / "run/test_results.npy")
    assert len(returns) == 100
    line = next(line for line in out.splitlines() if line.startswith("MountainCarContinuous-v0 "))
    assert re.search(rf"{returns.mean():.2f} \+/- {returns.std():.2f} +90 +- +solved", line)  # the paper has none
    again = run("example_rl.py", *arguments, "--save-path", tmp_path / "again", "--load-path", tmp_path / "run")
    assert line in again


@pytest.mark.long
@pytest.mark.parametrize(
    ("script", "env_id", "paper"),
    [
        ("example_gail.py", "CartPole-v0", "200.00"),
        pytest.param("example_dagger.py", "MountainCarContinuous-v0", "93.20", marks=pytest.mark.long),
        pytest.param("example_apprentice.py", "CartPole-v0", "200.00", marks=pytest.mark.long),
        pytest.param("example_gcl.py", "CartPole-v0", "200.00", marks=pytest.mark.long),
    ],
)
def test_examples_of_imitation_train_test_and_compare(script, env_id, paper, tmp_path):
    out = run(script, "--env", env_id, "--save-path", tmp_path / "run")
    returns = np.load(tmp_path / "run/test_results.npy")
    line = next(line for line in out.splitlines() if line.startswith(f"{env_id} "))
    assert f"{returns.mean():.2f} +/- {returns.std():.2f}" in line
    assert re.search(rf"{paper} +solved", line)
    again = run(script, "--env", env_id, "--save-path", tmp_path / "again", "--load-path", tmp_path / "run")
    assert line in again


def test_an_algorithm_of_ones_own_takes_under_80_lines_and_balances(tmp_path):
    assert len((ROOT / "examples/custom_algorithm.py").read_text().splitlines()) < 80
    assert "100 test episodes: 200.00 (the expert: 200)" in run("custom_algorithm.py")


def test_example_bc_names_the_environments_that_it_knows():
    done = subprocess.run(
        [sys.executable, ROOT / "examples/example_bc.py", "--env", "Pong-v0"],
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 2
    assert "CartPole-v0" in done.stderr


def test_evaluate_zoo_plays_the_cards_episodes_again():
    out = run("evaluate_zoo.py", "--algo", "BC", "PPO", "--env", "CartPole-v0", "MountainCar-v0")
    for algo in ("BC", "PPO"):
        for env_id in ("CartPole-v0", "MountainCar-v0"):
            mean = f"{ilpyt.zoo.card(algo, env_id)['mean']:.2f}"
            line = next(line for line in out.splitlines() if line.split()[:2] == [algo, env_id])
            assert line.split()[2] == mean
            assert line.endswith(("exact", "within noise"))  # processors may round otherwise
    assert re.search(r"4 agents: \d exact, \d within noise, 0 DIFFERS\.", out)


def test_evaluate_zoo_tells_noise_from_a_difference(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "examples")
    from evaluate_zoo import compare

    card = {"returns": [90.0, 110.0] * 50, "mean": 100.0, "std": 10.0}
    assert compare(card, [90.0, 110.0] * 50) == "exact"
    # standard error sqrt(10^2 + 10^2) / sqrt(100) = 1.41
    assert compare(card, [94.2, 114.2] * 50) == "within noise"
    assert compare(card, [94.3, 114.3] * 50) == "DIFFERS"
    assert compare(card, [85.7, 105.7] * 50) == "DIFFERS"


def test_example_generate_expert_demos_records_the_bundled_demonstrations(tmp_path):
    run("example_generate_expert_demos.py", "--env", "MountainCar-v0", "--num-episodes", 3, "--save-path", tmp_path)
    recorded = Experiences.load(tmp_path / "MountainCar-v0/demos.pkl")
    bundled = Experiences.load(ROOT / "demos/MountainCar-v0/demos.pkl")[: len(recorded)]
    torch.testing.assert_close(recorded.states, bundled.states)
    assert torch.equal(recorded.actions, bundled.actions)
    assert len(recorded.bounds()) == 3
    assert "3 successful ones" in (tmp_path / "MountainCar-v0/README.md").read_text()


def test_custom_env_is_cloned_to_its_experts_score_the_same_in_both_vecenvs():
    found = re.findall(r"(\w+): expert (\S+), learner (\S+)", run("custom_env.py"))
    assert [kind for kind, *_ in found] == ["dummy", "subproc"]
    assert found[0][1:] == found[1][1:]
    expert, learner = map(float, found[0][1:])
    assert 1.65 < expert < 1.75  # 6 steps at 0.05 each off 2
    assert learner > expert - 0.05
    assert len((ROOT / "examples/custom_env.py").read_text().splitlines()) <= 80


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("vecenv_type", ["dummy", "subproc"])
def test_the_papers_program_in_the_readme_solves_lunar_lander(vecenv_type, tmp_path):
    """Word for word, in a file without a `__main__` guard."""
    (program,) = re.findall(r"```python\n(import ilpyt\n.*?)```", (ROOT / "README.md").read_text(), re.S)
    if vecenv_type == "subproc":
        program = program.replace("num_env=16)", "num_env=16, vecenv_type='subproc')")
    (tmp_path / "program.py").write_text(program)
    os.symlink(ROOT / "demos", tmp_path / "demos")
    subprocess.run([sys.executable, "program.py"], cwd=tmp_path, check=True, timeout=300)
    assert np.load(tmp_path / "logs/test_results.npy").mean() >= 200
