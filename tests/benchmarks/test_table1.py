"""`benchmarks/table1.py`, run as a user runs it."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from tests.conftest import ROOT

QUICK = ("--algo", "GAIL", "--env", "MountainCarContinuous-v0")  # two seconds of training
SLOW = ("--algo", "A2C", "--env", "MountainCar-v0")  # minutes


@pytest.fixture
def table1():
    """Starts the program; what goes on at the end of a test is interrupted."""
    started = []

    def start(*args, out):
        command = [sys.executable, ROOT / "benchmarks/table1.py", "--out", out, *map(str, args)]
        started.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True))
        return started[-1]

    yield start
    for process in started:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)


def wait_for(what, seconds=60):
    for _ in range(10 * seconds):
        if what():
            return
        time.sleep(0.1)
    raise AssertionError("it didn't come")


@pytest.mark.timeout(300)
def test_a_cell_is_trained_tested_and_not_run_again(table1, tmp_path):
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


@pytest.mark.long
@pytest.mark.timeout(300)
@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.long)])
def test_an_interrupted_cell_leaves_no_result_no_process_and_begins_anew(number, table1, tmp_path):
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
    process.send_signal(number)
    printed, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "Interrupted; the same command goes on" in printed
    assert not (folder / "result.json").exists()
    assert not [line for line in commands() if b"cell.py" in line and str(out).encode() in line]

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


def test_a_cell_that_fails_is_named_and_doesnt_stop_the_others(tmp_path, monkeypatch, capsys):
    import table1 as module

    def start(run, lock):
        """Writes a result, but for GCL."""
        run.folder.mkdir(parents=True)
        write = f"open({str(run.result)!r}, 'w').write('{{\"mean\": 7, \"std\": 1}}')"
        return subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)" if run.algo == "GCL" else write])

    monkeypatch.setattr(module, "start", start)
    runs = module.plan(["GAIL", "GCL"], ["CartPole-v0"], [0, 1], tmp_path)
    failed = module.work(runs, 2, 0)
    assert [(run.algo, run.seed) for run in failed] == [("GCL", 0), ("GCL", 1)]
    printed = capsys.readouterr().out
    assert f"GCL    CartPole-v0               seed 1  failed: see {tmp_path}/logs/GCL_CartPole-v0_1.txt" in printed
    assert printed.count("7.00 +/-   1.00") == 4  # two baselines, two seeds of GAIL


def test_the_table_shows_means_progress_and_failures_at_any_width(tmp_path, monkeypatch, capsys):
    import table1 as module

    runs = module.plan(["GAIL", "GCL"], ["CartPole-v0", "MountainCar-v0"], [0, 1], tmp_path)
    by_name = {(run.algo, run.env_id, run.seed): run for run in runs}
    for seed, mean in ((0, 190), (1, 195)):
        run = by_name["GAIL", "CartPole-v0", seed]
        run.folder.mkdir(parents=True)
        run.result.write_text(json.dumps({"mean": mean}))
    run = by_name["GAIL", "MountainCar-v0", 1]
    run.folder.mkdir(parents=True)
    (run.folder / "progress.csv").write_text("step,evaluation/return,seconds\n9000,-150.2,1\n12345,-123.4,2\n13")
    running = {run: None, by_name["GCL", "CartPole-v0", 0]: None}
    failed = [by_name["GCL", "MountainCar-v0", 0]]

    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    screen = module.Screen(runs)
    screen.draw(running, failed)
    lines = [line.removesuffix("\x1b[K") for line in capsys.readouterr().out.splitlines()]
    assert [line.split() for line in lines[:5]] == [
        ["CartPole-v0", "MountainCar-v0"],
        ["Random", "-", "-"],
        ["Expert", "-", "-"],
        ["GAIL", "192.50", "(2/2)", "~-123", "at", "12k"],
        ["GCL", "begun", "failed"],
    ]
    assert lines[5] == "2 of 12 runs done, 1 failed; 0 minutes"
    screen.draw(running, failed)
    assert capsys.readouterr().out.startswith("\x1b[6F")  # over itself

    monkeypatch.setenv("COLUMNS", "30")
    module.Screen(runs).draw(running, failed)
    assert max(len(line.removesuffix("\x1b[K")) for line in capsys.readouterr().out.splitlines()[:5]) < 30


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

    runs = plan(list(SETTINGS), list(PAPER_ENVS), [0, 1, 0], tmp_path)
    assert len(set(runs)) == len(runs) == 2 * 5 + 2 * 8 * 5
    assert [run.seed for run in runs] == sorted(run.seed for run in runs)
    first_of_seed_1 = next(run for run in runs if run.seed == 1)
    assert (first_of_seed_1.algo, first_of_seed_1.env_id) == ("DQN", "LunarLander-v2")
