"""`benchmarks/table1.py`, run as a user runs it."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np

from tests.conftest import ROOT

QUICK = ("--algo", "GAIL", "--env", "MountainCarContinuous-v0")  # two seconds of training
SLOW = ("--algo", "A2C", "--env", "MountainCar-v0")  # minutes


def table1(*args, out, **kwargs):
    command = [sys.executable, ROOT / "benchmarks/table1.py", "--out", out, *map(str, args)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **kwargs)


def wait_for(what, seconds=60):
    for _ in range(10 * seconds):
        if what():
            return
        time.sleep(0.1)
    raise AssertionError("it didn't come")


def test_a_cell_is_trained_tested_and_not_run_again(tmp_path):
    out = tmp_path / "out"
    process = table1(*QUICK, "--seeds", 3, out=out)
    printed, _ = process.communicate(timeout=100)
    assert process.returncode == 0, printed
    folder = out / "GAIL/MountainCarContinuous-v0/seed_3"
    result = json.loads((folder / "result.json").read_text())
    assert result["command"] == "python benchmarks/table1.py --algo GAIL --env MountainCarContinuous-v0 --seeds 3"
    assert len(result["returns"]) == 100
    assert result["mean"] == np.mean(result["returns"]) == np.mean(np.load(folder / "test_results.npy"))
    assert result["mean"] >= 90
    steps, _, score = result["evaluations"][-1]
    assert steps == result["env_steps"] > 0
    assert score >= 93  # the preset's `until`
    assert result["updates"] > 0
    assert result["seconds"] > 0
    assert result["peak_memory_mb"] > 100
    assert result["config"]["agent"]["gen"]["lr"] == "Linear(start=0.001, end=0, steps=500000)"
    assert result["config"]["versions"]["torch"]
    assert "/" not in result["config"]["train"]["expert_demos"].removeprefix("demos/MountainCarContinuous-v0/")
    assert f"seed 3  {result['mean']:8.2f}" in printed
    baselines = {a: json.loads(next((out / a).rglob("result.json")).read_text())["mean"] for a in ("Random", "Expert")}
    assert baselines["Random"] < 0
    assert baselines["Expert"] > 93

    times = [file.stat().st_mtime_ns for file in sorted(out.rglob("result.json"))]
    process = table1(*QUICK, "--seeds", 3, out=out)
    assert process.communicate(timeout=60)[0] == ""
    assert [file.stat().st_mtime_ns for file in sorted(out.rglob("result.json"))] == times


def test_an_interrupted_cell_leaves_no_result_no_process_and_begins_anew(tmp_path):
    out = tmp_path / "out"
    for env_id in ("MountainCar-v0", "MountainCarContinuous-v0"):
        for baseline in ("Random", "Expert"):
            (out / baseline / env_id / "seed_0").mkdir(parents=True)
            (out / baseline / env_id / "seed_0/result.json").write_text('{"mean": 0}')
    process = table1(*SLOW, out=out)
    folder = out / "A2C/MountainCar-v0/seed_0"
    wait_for((folder / "progress.csv").exists)
    second = table1(*SLOW, out=out)
    assert "another table1.py is at work" in second.communicate(timeout=60)[0]
    process.send_signal(signal.SIGINT)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "Interrupted; the same command goes on" in printed
    assert not (folder / "result.json").exists()
    wait_for(lambda: not any(b"cell.py" in line for line in commands() if str(out).encode() in line))

    # What lies about of an interrupted run isn't taken for the new one's.
    folder = out / "GAIL/MountainCarContinuous-v0/seed_0"
    folder.mkdir(parents=True)
    (folder / "progress.csv").write_text("step,evaluation/return,seconds\n1,1000,1\n")
    (folder / "disc_999999999.pth").write_text("half")
    process = table1(*QUICK, out=out)
    printed, _ = process.communicate(timeout=100)
    assert process.returncode == 0, printed
    assert not (folder / "disc_999999999.pth").exists()
    assert json.loads((folder / "result.json").read_text())["evaluations"][0][0] > 1


def test_a_cell_that_fails_is_named_and_doesnt_stop_the_others(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "Expert").write_text("a file where a folder has to be")
    process = table1(*QUICK, out=out)
    printed, _ = process.communicate(timeout=100)
    assert process.returncode == 1
    log = out / "logs/Expert_MountainCarContinuous-v0_0.txt"
    assert f"Expert MountainCarContinuous-v0  seed 0  failed: see {log}" in printed
    assert "NotADirectoryError" in log.read_text()
    assert (out / "GAIL/MountainCarContinuous-v0/seed_0/result.json").exists()


def commands():
    """The command lines of all processes."""
    for pid in os.listdir("/proc"):
        if pid.isdigit():
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    yield file.read()
            except OSError:
                continue


def test_the_plan_has_each_run_once_and_the_slowest_first(tmp_path):
    from table1 import plan

    from ilpyt.presets import PAPER_ENVS, SETTINGS

    runs = plan(list(SETTINGS), list(PAPER_ENVS), [0, 1], tmp_path)
    assert len(set(runs)) == len(runs) == 2 * 5 + 2 * 8 * 5
    assert [run.seed for run in runs] == sorted(run.seed for run in runs)
    first_of_seed_1 = next(run for run in runs if run.seed == 1)
    assert (first_of_seed_1.algo, first_of_seed_1.env_id) == ("DQN", "LunarLander-v2")
