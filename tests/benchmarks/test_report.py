"""What the report of Table 1 says, by numbers that can be worked out by hand."""

import json
import shutil

import numpy as np
import pytest

from ilpyt.presets import PAPER_ENVS


def write(out, algo, env_id, seed, mean, **more):
    """A result as `cell.py` writes it, of two test episodes, with weights of two steps beside it."""
    folder = out / algo / env_id / f"seed_{seed}"
    folder.mkdir(parents=True)
    result = {"algo": algo, "env_id": env_id, "seed": seed, "mean": mean, "std": 1.0, "returns": [mean - 1, mean + 1]}
    result |= {"versions": {"torch": "2"}, "machine": {"processor": "abacus", "cores": 2}, "peak_memory_mb": 300}
    if algo not in ("Random", "Expert"):
        result |= {"env_steps": 1000 * (seed + 1), "updates": 10, "seconds": 60.0, "test_seconds": 0.0}
        result |= {"evaluations": [[100, 1.0, mean - 5], [200, 2.0, mean]]}
        for step in (100, 2000):
            (folder / f"net_{step}.pth").write_text(f"{algo} {seed} {step}")
    (folder / "result.json").write_text(json.dumps(result))


@pytest.fixture
def out(tmp_path):
    """Results in two environments: PPO solves one and misses the paper's number there, BC misses the threshold."""
    out = tmp_path / "out"
    for env_id, low, high in (("LunarLander-v2", -200, 250), ("CartPole-v0", 20, 200)):
        write(out, "Random", env_id, 0, low)
        write(out, "Expert", env_id, 0, high)
    for seed, mean in enumerate((230.0, 260.0, 245.0)):
        write(out, "PPO", "LunarLander-v2", seed, mean)
    for seed, mean in enumerate((200.0, 200.0, 196.4)):
        write(out, "BC", "CartPole-v0", seed, mean)
    return out


def line(text, *words):
    (found,) = (line for line in text.splitlines() if all(word in line for word in words))
    return [column.strip() for column in found.strip("|").split("|")]


def test_the_interquartile_mean_is_that_of_the_middle_half():
    from report import interquartile_mean

    assert interquartile_mean(np.array([100.0, 3, 1, 2, 0, 4, 5, -100])) == (1 + 2 + 3 + 4) / 4
    np.testing.assert_allclose(interquartile_mean(np.array([[1.0, 2, 3, 4], [0, 0, 8, 9]])), [2.5, 4])


def test_bootstrap_intervals_agree_with_theory_and_stay_within_groups():
    from report import bootstrap, interval

    def average(scores):
        return scores.mean(axis=-1)

    scores = np.random.default_rng(1).normal(5, 2, 400)
    low, high = interval([scores], average)
    error = 1.96 * scores.std() / 20
    np.testing.assert_allclose([low, high], [scores.mean() - error, scores.mean() + error], atol=0.03)
    # Groups of one value each don't vary, however far apart they are.
    assert interval([np.full(3, 1.0), np.full(3, 9.0)], average) == (5, 5)
    # Of three values (2/3)^3 = 30% of the resamples have no 3, 3.7% nothing else.
    assert bootstrap([np.array([0.0, 0, 3])], average) == "0.000 to 3.000"
    assert bootstrap([np.array([7.0])], average) == "-"  # one seed says nothing about others


def test_goals_are_the_papers():
    from report import goal

    assert goal("DQN", "LunarLander-v2", 250) == 281.96  # RL: the paper's number
    assert goal("DQN", "CartPole-v0", 200) == 200  # the paper has none: the threshold
    np.testing.assert_allclose(goal("BC", "LunarLander-v2", 250), 0.97 * 244.295)  # the paper's is the lesser
    np.testing.assert_allclose(goal("BC", "LunarLanderContinuous-v2", 280), 0.97 * 280)  # the expert's is
    np.testing.assert_allclose(goal("BC", "MountainCar-v0", -105), -105 * 1.03)  # 3% under a negative number
    assert goal("GAIL", "MountainCarContinuous-v0", 93) == 90  # the paper's doesn't solve it


def test_tables_have_means_over_seeds_and_the_papers_numbers(out):
    from report import details, matrix, read, summary

    cells = read(out)
    header = line(matrix(cells), "solved at")
    assert header[2:] == ["Expert", "BC", "PPO"]
    lander, pole = (line(matrix(cells), env_id)[1:] for env_id in ("LunarLander-v2", "CartPole-v0"))
    assert lander == ["200", "**250.00** (268.09)", "- (244.29)", "**245.00** (249.72)"]
    assert pole == ["200", "**200.00** (200.00)", "**198.80** (200.00)", "- (-)"]

    ppo = line(details(cells), "LunarLander-v2", "PPO")
    assert ppo[2:5] == ["**245.00**", "230.00 to 260.00", "230.00, 260.00, 245.00"]
    assert ppo[5:7] == ["245.00 ± 1.00", "249.72 ± 75.05"]  # the median seed, not the best
    assert ppo[7:10] == ["yes", "249.72, **missed**", "1,000 to 3,000"]
    bc = line(details(cells), "CartPole-v0", "BC")
    assert bc[7] == "**no**"
    assert bc[8] == "200.00, **missed**"

    # (245 + 200) / 450 and so on; of three values the middle half is all of them
    ppo = line(summary(cells), "PPO")
    assert ppo[1:] == [f"{445 / 450:.3f}", f"{430 / 450:.3f} to {460 / 450:.3f}", "1 of 1", "1.0"]
    assert line(summary(cells), "BC")[3] == "0 of 1"


def test_the_report_is_written_with_its_figures(out, tmp_path):
    from report import write_report

    (out / "notes.md").write_text("Measured on an abacus.")
    write_report(out, tmp_path / "docs/table1.md")
    text = (tmp_path / "docs/table1.md").read_text()
    assert "Training seeds: 0, 1, 2. Versions: torch 2. Machine: 2 cores, abacus, no GPU." in text
    assert "{" not in text
    assert "Measured on an abacus." in text
    assert "Over five minutes\n\nNone." in text
    assert "| LunarLander-v2 | PPO | 250 | 100 | 20,000 env steps | 500,000 env steps |" in text
    for name in ("curves", "summary"):
        assert f"figures/table1_{name}.png" in text
        assert (tmp_path / f"docs/figures/table1_{name}.png").read_bytes()[:4] == b"\x89PNG"


def test_cells_of_over_five_minutes_are_named(out):
    from report import read, slow_cells

    path = out / "PPO/LunarLander-v2/seed_1/result.json"
    path.write_text(path.read_text().replace('"seconds": 60.0', '"seconds": 400.0'))
    assert slow_cells(read(out)).startswith("- PPO on LunarLander-v2 (60 to 400 s): ")


def test_what_is_missing_is_named(tmp_path, out):
    from report import read

    with pytest.raises(SystemExit, match="has no results"):
        read(tmp_path / "empty")
    shutil.rmtree(out / "Random/CartPole-v0")
    with pytest.raises(SystemExit, match=r"no results of Random in CartPole-v0: .*--algo Random --env CartPole-v0"):
        read(out)
    shutil.rmtree(out / "PPO")
    shutil.rmtree(out / "BC")
    with pytest.raises(SystemExit, match="has no results"):  # but of baselines
        read(out)


def test_every_cell_has_a_stop_rule():
    from report import stop_rules

    lines = stop_rules().splitlines()[2:]
    assert len(lines) == 8 * len(PAPER_ENVS)
    assert line(stop_rules(), "CartPole-v0", "DAgger")[2:] == ["-", "-", "-", "20 iterations"]
