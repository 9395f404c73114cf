"""Learning curves, of made-up runs whose means, intervals and lines are known."""

import json
import logging
import struct
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.figure import Figure

from ilpyt.plots import average, choose_metric, draw_runs, plot_runs, read_run, read_runs
from ilpyt.plots.draw import COLORS, EXPERT, THRESHOLD
from ilpyt.plots.options import Options
from ilpyt.presets import PAPER_ENVS
from ilpyt.utils.errors import DataError, IlpytError, SaveError
from ilpyt.utils.logger import CSVSink
from tests.conftest import ROOT


def write(folder, rows, algorithm="PPO", env_id="CartPole-v0", metric="evaluation/return", **config):
    """A run as ilpyt leaves it: `rows` are step, seconds, and the metric."""
    folder.mkdir(parents=True)
    config = {"algorithm": algorithm, "env": {"env_id": env_id}, **config}
    (folder / "config.json").write_text(json.dumps(config))
    sink = CSVSink(folder / "progress.csv")
    for step, seconds, value in rows:
        sink.write(step, {metric: value, "seconds": seconds})
    return folder


def draw(folder, **options):
    return draw_runs(Figure(), read_runs([folder]), Options(**options))


def means(panel):
    """The thick lines of a panel by colour: [points, 2] each."""
    return {line.get_color(): line.get_xydata() for line in panel.lines if line.get_linewidth() == 1.8}


def goals(panel):
    return {line.get_label(): line.get_ydata()[0] for line in panel.lines if line.get_label() in (THRESHOLD, EXPERT)}


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_the_mean_is_of_interpolated_runs_where_all_have_data():
    curves = [(np.array([0.0, 10, 20]), np.array([0.0, 10, 40])), (np.array([5.0, 15]), np.array([100.0, 200]))]
    x, mean, low, high = average(curves)
    np.testing.assert_allclose(x, [5, 10, 15])
    np.testing.assert_allclose(mean, [(5 + 100) / 2, (10 + 150) / 2, (25 + 200) / 2])
    # Of two runs, a quarter of the resamples is twice the lower, a quarter twice the higher one.
    np.testing.assert_allclose(low, [5, 10, 25])
    np.testing.assert_allclose(high, [100, 150, 200])


def test_the_interval_of_many_runs_is_the_normal_one():
    values = np.random.default_rng(1).normal(50, 10, 100)
    _, mean, low, high = average([(np.array([1.0]), np.array([value])) for value in values])
    error = 1.96 * values.std() / 10
    np.testing.assert_allclose([low[0], mean[0], high[0]], values.mean() + np.array([-error, 0, error]), atol=0.25)


def test_runs_without_a_common_x_have_no_mean():
    x, mean, low, high = average([(np.array([1.0, 2]), np.zeros(2)), (np.array([3.0, 4]), np.ones(2))])
    assert len(x) == len(mean) == len(low) == len(high) == 0


def test_long_curves_are_thinned_to_their_ends():
    line = np.arange(10_000.0)
    x, mean, _, _ = average([(line, 2 * line), (line, 4 * line)])
    assert len(x) == 500
    assert (x[0], x[-1]) == (0, 9999)
    np.testing.assert_allclose(mean, 3 * x)


def test_a_curve_has_the_finite_rows_and_the_last_at_a_step(tmp_path):
    rows = [(1, 0.5, 10), (2, 1.0, float("nan")), (3, 1.5, 30), (3, 2.0, 31), (4, 2.5, float("inf"))]
    run = read_run(write(tmp_path / "run", rows))
    np.testing.assert_array_equal(run.curve("evaluation/return", "step"), [[1, 3], [10, 31]])
    np.testing.assert_array_equal(run.curve("evaluation/return", "seconds"), [[0.5, 1.5, 2], [10, 30, 31]])


def test_smoothing_is_the_mean_of_a_row_and_those_before(tmp_path):
    run = read_run(write(tmp_path / "run", [(n, n, value) for n, value in enumerate((6, 2, 4, 9))]))
    np.testing.assert_allclose(run.curve("evaluation/return", "step", 3)[1], [6, 4, 4, 5])


def test_seconds_go_on_where_a_second_training_counts_from_zero(tmp_path):
    run = read_run(write(tmp_path / "run", [(1, 2.0, 0), (2, 4.0, 0), (3, 1.0, 0), (4, 3.0, 0), (5, 0.5, 0)]))
    np.testing.assert_allclose(run.columns["seconds"], [2, 4, 5, 7, 7.5])


def test_runs_are_grouped_by_algorithm_and_environment(tmp_path):
    for seed, value in enumerate((100, 140, 180)):
        write(tmp_path / f"a/seed_{seed}", [(1000, 1, value), (2000, 2, 200)])
    write(tmp_path / "b", [(1000, 1, 50), (2000, 2, 70)], "GAIL")
    write(tmp_path / "c/old", [(1000, 1, -150)], env_id="LunarLander-v2")
    write(tmp_path / "c/new", [(1000, 1, -50)], env_id="LunarLander-v3")
    write(tmp_path / "c/new/previous_1", [(1000, 1, 1e6)], env_id="LunarLander-v3")
    figure = draw(tmp_path)
    cart, cart_seconds, lander, _ = figure.axes
    np.testing.assert_allclose(means(cart)[COLORS["PPO"]], [[1000, 140], [2000, 200]])
    np.testing.assert_allclose(means(cart)[COLORS["GAIL"]], [[1000, 50], [2000, 70]])
    np.testing.assert_allclose(means(cart_seconds)[COLORS["PPO"]], [[1, 140], [2, 200]])
    np.testing.assert_allclose(means(lander)[COLORS["PPO"]], [[1000, -100]])
    (band,) = cart.collections  # of one seed there is none
    corners = band.get_paths()[0].vertices
    np.testing.assert_allclose(corners[corners[:, 0] == 1000, 1].min(), 100)
    np.testing.assert_allclose(corners[corners[:, 0] == 1000, 1].max(), 180)
    assert legend(figure)[:2] == ["GAIL, 1 seed", "PPO, 2 to 3 seeds"]
    assert [panel.get_title() for panel in figure.axes[::2]] == ["CartPole-v0", "LunarLander-v2 / LunarLander-v3"]
    assert [panel.get_xlabel() for panel in figure.axes] == ["env steps", "seconds"] * 2


def test_where_the_first_seed_ends_the_mean_ends_and_the_others_go_on(tmp_path):
    write(tmp_path / "a", [(10, 1, 0), (20, 2, 200)])
    write(tmp_path / "b", [(10, 1, 0), (20, 2, 100), (30, 3, 120)])
    (panel,) = draw(tmp_path, x="step").axes
    np.testing.assert_allclose(means(panel)[COLORS["PPO"]], [[10, 0], [20, 150]])
    thin = [line for line in panel.lines if line.get_linewidth() == 0.7]
    assert [line.get_xdata()[-1] for line in thin] == [20, 30]


def test_a_single_seed_is_drawn_as_it_is_however_long(tmp_path):
    write(tmp_path / "run", [(n, n / 10, 1000 if n == 777 else 0) for n in range(3000)])
    (panel,) = draw(tmp_path, x="step").axes
    line = means(panel)[COLORS["PPO"]]
    assert line.shape == (3000, 2)
    assert line[:, 1].max() == 1000
    assert not panel.collections


def test_panels_without_a_point_are_left_out(tmp_path):
    write(tmp_path / "a/run", [(1, float("nan"), 5), (2, float("nan"), 6)])
    steps, seconds = draw(tmp_path / "a").axes
    np.testing.assert_allclose(means(steps)[COLORS["PPO"]], [[1, 5], [2, 6]])
    assert not seconds.axison
    write(tmp_path / "b/run", [(1, 1, 7)], env_id="Acrobot-v1")
    untimed, timed = draw(tmp_path, x="seconds").axes
    assert not untimed.axison
    np.testing.assert_allclose(means(timed)[COLORS["PPO"]], [[1, 7]])
    assert timed.get_ylabel() == "mean return of an evaluation"
    with pytest.raises(DataError, match="no row of any run has both seconds and evaluation/return"):
        draw(tmp_path / "a", x="seconds")


def test_an_x_axis_with_a_0_isnt_made_logarithmic_unasked(tmp_path):
    write(tmp_path / "bc", [(0, 0, 5), (10, 1, 6)], "DQN")
    write(tmp_path / "rl", [(10, 1, 5), (1000, 90, 6)], "PPO")
    assert [panel.get_xscale() for panel in draw(tmp_path).axes] == ["linear", "linear"]
    assert draw(tmp_path, x_scale="log").axes[0].get_xscale() == "log"


@pytest.mark.parametrize("env_id", [*PAPER_ENVS, "LunarLander-v3"])
def test_goals_are_at_the_papers_threshold_and_the_experts_score(tmp_path, env_id):
    write(tmp_path / "run", [(1, 1, 0), (2, 2, 1)], env_id=env_id)
    known = PAPER_ENVS[env_id.replace("v3", "v2")]
    for panel in draw(tmp_path).axes:
        assert goals(panel) == {THRESHOLD: known.threshold, EXPERT: known.expert_return}


def test_there_are_no_goals_for_losses_and_unknown_environments(tmp_path):
    write(tmp_path / "a", [(1, 1, 0), (2, 2, 1)], env_id="CartPole-v1")
    write(tmp_path / "b", [(1, 1, 0), (2, 2, 1)], "BC", metric="loss")
    assert goals(draw(tmp_path / "a").axes[0]) == {}
    figure = draw(tmp_path / "b")
    assert goals(figure.axes[0]) == {}
    assert legend(figure) == ["BC, 1 seed"]


@pytest.mark.parametrize("env_id", PAPER_ENVS)
@pytest.mark.parametrize("baseline", ["Expert", "Random"])
def test_scores_of_expert_and_random_policy_are_those_measured(env_id, baseline):
    result = json.loads((ROOT / f"benchmarks/results/table1/{baseline}/{env_id}/seed_0/result.json").read_text())
    known = PAPER_ENVS[env_id]
    assert {"Expert": known.expert_return, "Random": known.random_return}[baseline] == round(result["mean"], 2)


def test_what_is_far_below_a_random_policy_is_cut_off_and_said_to_be(tmp_path):
    write(tmp_path / "run", [(1, 1, -3000), (2, 2, -300), (3, 3, 250)], env_id="LunarLander-v3")
    panel = draw(tmp_path).axes[0]
    assert panel.get_ylim()[0] == pytest.approx(-198.42 - 0.05 * (250 + 198.42))
    assert [text.get_text() for text in panel.texts] == ["cut off: down to -3,000"]
    panel = draw(tmp_path, whole=True).axes[0]
    assert panel.get_ylim()[0] < -3000
    assert not panel.texts


def test_where_curves_end_is_never_cut_off(tmp_path):
    write(tmp_path / "run", [(1, 1, -3000), (2, 2, -900)], env_id="LunarLander-v3")
    assert draw(tmp_path).axes[0].get_ylim()[0] < -900


def test_epochs_and_env_steps_have_panels_of_their_own(tmp_path):
    write(tmp_path / "bc", [(1, 1, 3), (2, 2, 1)], "BC", metric="validation_loss")
    write(tmp_path / "dagger", [(800, 1, 4), (1600, 2, 2)], "DAgger", metric="validation_loss")
    write(tmp_path / "own", [(5, 1, 4), (6, 2, 2)], "Own", metric="validation_loss")
    panels = draw(tmp_path).axes
    units = ["env steps", "epochs", "steps as Own counts them", "seconds"]
    assert [panel.get_xlabel() for panel in panels] == units
    np.testing.assert_allclose(means(panels[0])[COLORS["DAgger"]], [[800, 4], [1600, 2]])
    assert [list(means(panel)) for panel in panels[1:3]] == [[COLORS["BC"]], ["#999933"]]
    assert len(means(panels[3])) == 3
    assert panels[0].get_ylabel() == "loss on held-out data"


@pytest.mark.parametrize(("ends", "scale"), [((100, 900), "linear"), ((100, 1100), "log")])
def test_x_axes_are_logarithmic_where_one_algorithm_lasts_ten_times_as_long(tmp_path, ends, scale):
    for algorithm, end in zip(("DQN", "PPO"), ends, strict=True):
        write(tmp_path / algorithm, [(10, 1, 0), (end, 2, 1)], algorithm)
    assert [panel.get_xscale() for panel in draw(tmp_path).axes] == [scale, "linear"]
    assert draw(tmp_path, x_scale="linear", x="step").axes[0].get_xscale() == "linear"
    assert draw(tmp_path, x_scale="log", x="seconds").axes[0].get_xscale() == "log"


def test_the_metric_is_the_best_that_all_runs_have(tmp_path, caplog):
    write(tmp_path / "rl/a", [(1, 1, 0)])
    write(tmp_path / "rl/b", [(1, 1, float("nan"))])  # a column without a number doesn't count
    CSVSink(tmp_path / "rl/b/progress.csv").write(2, {"episode/return": 3, "seconds": 2})
    write(tmp_path / "bc", [(1, 1, 0)], "BC", metric="loss")
    assert choose_metric(read_runs([tmp_path / "rl/a"])) == "evaluation/return"
    assert choose_metric(read_runs([tmp_path / "rl/b"])) == "episode/return"
    assert choose_metric(read_runs([tmp_path / "bc"])) == "loss"
    CSVSink(tmp_path / "rl/a/progress.csv").write(2, {"episode/return": 3, "seconds": 2})
    assert choose_metric(read_runs([tmp_path / "rl"])) == "episode/return"
    runs = read_runs([tmp_path])
    assert choose_metric(runs) == "evaluation/return"
    figure = draw_runs(Figure(), runs)
    assert legend(figure)[0] == "PPO, 1 seed"
    assert f"left out: {tmp_path}/bc of BC, which has no evaluation/return, but loss" in caplog.text
    assert f"left out: {tmp_path}/rl/b of PPO, which has no evaluation/return, but episode/return" in caplog.text


def test_a_metric_that_nobody_has_is_an_error_with_the_nearest(tmp_path):
    run = write(tmp_path / "run", [(1, 1, 0)])
    message = "no run has the metric 'evaluation/retrun'; did you mean evaluation/return\\? there are evaluation/return"
    with pytest.raises(DataError, match=message):
        plot_runs([run], metric="evaluation/retrun")
    with pytest.raises(DataError, match="'seconds'; there are evaluation/return"):
        plot_runs([run], metric="seconds")


def test_runs_with_other_settings_are_said_to_be_no_seeds(tmp_path, caplog):
    for name, lr in (("a", 0.1), ("b", 0.1), ("c", 0.2)):
        write(tmp_path / name, [(1, 1, 0)], agent={"lr": lr})
    draw(tmp_path)
    (record,) = caplog.records
    assert record.getMessage() == f"{tmp_path}/c counts as a seed like {tmp_path}/a, but has agent.lr 0.2, not 0.1"


BROKEN = {
    "no progress": (lambda run: (run / "progress.csv").unlink(), "has no progress.csv"),
    "no config": (lambda run: (run / "config.json").unlink(), "has no config.json"),
    "empty": (lambda run: (run / "progress.csv").write_text(""), "progress.csv is empty"),
    "header": (lambda run: (run / "progress.csv").write_text("step,seconds\r\n"), "progress.csv has no rows yet"),
    "columns": (lambda run: (run / "progress.csv").write_text("a,seconds\n1,2\n"), "has no column 'step'"),
    "words": (
        lambda run: (run / "progress.csv").write_text("step,seconds\n1,two\n"),
        "isn't a table of numbers.*'two'",
    ),
    "binary": (lambda run: (run / "progress.csv").write_bytes(b"\xff\xfe"), "progress.csv can't be read"),
    "half JSON": (lambda run: (run / "config.json").write_text('{"algorithm": '), "config.json isn't JSON"),
    "a list": (lambda run: (run / "config.json").write_text("[1]"), "config.json isn't a run's: it holds a list"),
    "other": (lambda run: (run / "config.json").write_text("{}"), "doesn't say 'algorithm' and 'env.env_id'"),
}


@pytest.mark.parametrize(("break_it", "message"), BROKEN.values(), ids=BROKEN)
def test_broken_runs_are_errors_alone_and_warnings_beside_others(tmp_path, caplog, break_it, message):
    broken = write(tmp_path / "broken", [(1, 1, 0)])
    break_it(broken)
    with pytest.raises(DataError, match=f"there is no run to draw: {tmp_path}/broken.*{message}") as error:
        plot_runs([broken])
    assert "\n" not in str(error.value)
    fine = write(tmp_path / "fine", [(1, 1, 0)])
    with caplog.at_level(logging.WARNING):
        assert [run.folder for run in read_runs([tmp_path])] == [fine]
    (record,) = caplog.records
    assert record.getMessage().startswith(f"left out: {tmp_path}/broken")


@pytest.mark.parametrize("end", ["3,3.0,9", "3,3", "\n3,3,"])
def test_a_last_row_that_is_cut_off_is_left_out(tmp_path, end):
    run = write(tmp_path / "run", [(1, 1, 5), (2, 2, 6)])
    with open(run / "progress.csv", "a", newline="") as file:
        file.write(end)
    np.testing.assert_array_equal(read_run(run).curve("evaluation/return", "step"), [[1, 2], [5, 6]])


def test_a_row_without_all_its_columns_is_left_out(tmp_path):
    run = write(tmp_path / "run", [(1, 1, 5)])
    with open(run / "progress.csv", "a", newline="") as file:
        file.write("2,6.0\r\n3,7.0,3.0\r\n")
    np.testing.assert_array_equal(read_run(run).curve("evaluation/return", "step"), [[1, 3], [5, 7]])


def test_folders_without_runs_are_named(tmp_path, caplog):
    run = write(tmp_path / "run", [(1, 1, 0)])
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty holds no run"):
        plot_runs([tmp_path / "empty"])
    with pytest.raises(DataError, match=r"config.json is a file; name the folder it lies in \(and 1 more\)"):
        plot_runs([run / "config.json", tmp_path / "empty"])
    with pytest.raises(FileNotFoundError, match="nowhere is not there"):
        plot_runs([run, tmp_path / "nowhere"])
    with pytest.raises(DataError, match="no folder was named"):
        plot_runs([])
    assert len(read_runs([run, tmp_path / "empty", tmp_path])) == 1  # once, however often it's named
    assert "empty holds no run" in caplog.text


def test_the_file_has_the_expected_size_in_pixels(tmp_path):
    for env_id in ("CartPole-v0", "MountainCar-v0", "Pendulum-v1"):
        write(tmp_path / f"runs/{env_id}", [(1, 1, 0), (2, 2, 1)], env_id=env_id)
    out = plot_runs([tmp_path / "runs"])
    assert out == tmp_path / "runs/curves.png"
    assert struct.unpack(">II", out.read_bytes()[16:24]) == (800, 870)  # three rows of 260 and the legend
    svg = plot_runs([tmp_path / "runs/CartPole-v0"], "new/one.svg", x="step")
    assert b'width="576pt" height="338.4pt"' in svg.read_bytes()  # 8 by 4.7 inches


def test_wrong_arguments_are_named(tmp_path):
    run = write(tmp_path / "run", [(1, 1, 0)])
    with pytest.raises(ValueError, match=r"out is curves.xyz; its suffix must be one of .*\.pdf.*\.png"):
        plot_runs([run], "curves.xyz")
    with pytest.raises(ValueError, match="smooth must be at least 1, got 0"):
        plot_runs([run], smooth=0)
    with pytest.raises(ValueError, match="x must be one of both, step, seconds, got 'time'"):
        plot_runs([run], x="time")
    with pytest.raises(SaveError, match="can't be written"):
        plot_runs([run], run / "config.json/curves.png")


def test_without_a_display_the_file_is_there_and_the_error_names_it(tmp_path, monkeypatch):
    monkeypatch.setattr("matplotlib.pyplot.get_backend", lambda: "agg")
    run = write(tmp_path / "run", [(1, 1, 0)])
    with pytest.raises(IlpytError, match=f"there is no display .* look at {run}/curves.png"):
        plot_runs([run], show=True)
    assert (run / "curves.png").exists()


def test_a_window_shows_the_same_curves(tmp_path, monkeypatch):
    from matplotlib import pyplot

    pyplot.switch_backend("agg")
    shown = []
    monkeypatch.setattr(pyplot, "get_backend", lambda: "tkagg")
    monkeypatch.setattr(pyplot, "show", lambda: shown.append(means(pyplot.gcf().axes[0])))
    plot_runs([write(tmp_path / "run", [(1, 1, 7)])], show=True)
    np.testing.assert_allclose(shown[0][COLORS["PPO"]], [[1, 7]])
    assert not pyplot.get_fignums()


def test_each_name_is_what_it_says_whatever_was_imported_before():
    names = "Run, average, choose_metric, draw_runs, plot_runs, read_run, read_runs"
    code = f"import ilpyt.plots.draw; from ilpyt.plots import {names}; print([x.__name__ for x in ({names})])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == f"{names.split(', ')}\n"


def test_the_command_line_is_the_functions(tmp_path, capsys):
    tyro = pytest.importorskip("tyro")
    from ilpyt.cli.plot import plot

    run = write(tmp_path / "run", [(1, 1, 0), (2, 2, 1)])
    tyro.cli(plot, args=[str(run), "--out", "a.png", "--x", "step", "--smooth", "2", "--x-scale", "log", "--whole"])
    assert capsys.readouterr().out == "a.png\n"
    assert struct.unpack(">I", (tmp_path / "a.png").read_bytes()[16:20]) == (800,)


def test_the_command_imports_nothing_heavy_before_it_draws():
    pytest.importorskip("tyro")
    code = "import sys, ilpyt.cli.plot; print({'numpy', 'torch', 'matplotlib', 'gym', 'gymnasium'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"


def test_runs_in_other_environments_or_with_the_same_seed_are_said_to_be_no_seeds(tmp_path, caplog):
    leaky = {"env_id": "CartPole-v0", "make_kwargs": {"leak": "0.04"}}
    for name, seed, env in (("a", 0, {"env_id": "CartPole-v0"}), ("b", 1, leaky), ("c", 0, {"env_id": "CartPole-v0"})):
        write(tmp_path / name, [(1, 1, 0)], recipe={"seed": seed})
        config = json.loads((tmp_path / name / "config.json").read_text())
        (tmp_path / name / "config.json").write_text(json.dumps({**config, "env": env}))
    draw(tmp_path)
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path}/b counts as a seed like {tmp_path}/a, but has make_kwargs {{'leak': '0.04'}}, not None",
        f"{tmp_path}/c counts as another seed than {tmp_path}/a, but has the seed 0 too",
    ]
