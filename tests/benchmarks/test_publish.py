"""What `table1.py --publish` puts into the repository."""

import json
import shutil

import pytest

from ilpyt.presets import PAPER_ENVS, SETTINGS
from tests.benchmarks.test_report import write

MEANS = (230.0, 260.0, 245.0)  # by seed; the last is the median


@pytest.fixture
def out(tmp_path):
    """Results of all cells."""
    out = tmp_path / "out"
    for env_id in PAPER_ENVS:
        write(out, "Random", env_id, 0, -200)
        write(out, "Expert", env_id, 0, 250)
        for algo in SETTINGS:
            for seed, mean in enumerate(MEANS):
                write(out, algo, env_id, seed, mean)
    (out / "notes.md").write_text("A note.")
    return out


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository with what a former publication has left."""
    import publish

    root = tmp_path / "repository"
    old = [root / "model_zoo/PPO/LunarLander-v2/net_7.pth"]
    old += [root / f"benchmarks/results/table1/PPO/LunarLander-v2/seed_{seed}/result.json" for seed in (2, 3)]
    for file in old:
        file.parent.mkdir(parents=True)
        file.write_text("old")
    (root / "README.md").write_text("before\n<!-- table1 -->\nold\n<!-- /table1 -->\nafter\n")
    monkeypatch.setattr(publish, "ROOT", root)
    return root


def test_the_last_weights_of_the_median_seed_go_into_the_zoo_and_all_results_beside_the_table(out, repository):
    from publish import publish

    publish(out)
    folder = repository / "model_zoo/PPO/LunarLander-v2"
    assert {file.name for file in folder.iterdir()} == {"net_2000.pth", "card.json"}
    assert (folder / "net_2000.pth").read_text() == "PPO 2 2000"
    card = json.loads((folder / "card.json").read_text())
    assert (card["mean"], card["seed"], card["returns"]) == (245, 2, [244, 246])
    assert "folder" not in card
    assert {path.name for path in (repository / "model_zoo").iterdir()} == set(SETTINGS)

    results = repository / "benchmarks/results/table1"
    assert len(list(results.rglob("result.json"))) == 5 * (2 + 8 * 3)
    assert json.loads((results / "PPO/LunarLander-v2/seed_2/result.json").read_text()) == card
    assert (results / "notes.md").read_text() == "A note."
    assert not (results / "PPO/LunarLander-v2/seed_3").exists()  # of a former publication
    readme = (repository / "README.md").read_text()
    assert readme.startswith("before\n<!-- table1 -->\n| environment |")
    assert readme.endswith("\n<!-- /table1 -->\nafter\n")
    assert "**245.00** (249.72)" in readme
    assert "old" not in readme
    assert "**245.00** (249.72)" in (repository / "docs/table1.md").read_text()
    assert (repository / "docs/figures/table1_curves.png").exists()


def lose_a_cell(out, repository):
    shutil.rmtree(out / "GCL/CartPole-v0")


def lose_a_seed(out, repository):
    shutil.rmtree(out / "PPO/CartPole-v0/seed_1")


def lose_weights(out, repository):
    for file in (out / "PPO/CartPole-v0/seed_2").glob("*.pth"):
        file.unlink()


def lose_a_mark(out, repository):
    (repository / "README.md").write_text("<!-- table1 -->")


@pytest.mark.parametrize(
    ("lose", "message"),
    [
        (lose_a_cell, "no result: GCL on CartPole-v0"),
        (lose_a_seed, r"PPO on CartPole-v0 has seeds \[0, 2\], others have \[0, 1, 2\]"),
        (lose_weights, "has no weights"),
        (lose_a_mark, "README.md needs each"),
    ],
)
def test_what_isnt_complete_is_not_published(lose, message, out, repository):
    from publish import publish

    lose(out, repository)
    with pytest.raises(SystemExit, match=message):
        publish(out)
    assert (repository / "model_zoo/PPO/LunarLander-v2/net_7.pth").exists()
    assert (repository / "benchmarks/results/table1/PPO/LunarLander-v2/seed_3/result.json").exists()
