"""The notebook: that it runs, and that what is committed is small and reads well."""

import json
import re
import subprocess
import sys
import time

import pytest

from tests.conftest import ROOT

NOTEBOOK = ROOT / "examples/demonstrations_to_video.ipynb"


@pytest.fixture
def run_notebook(monkeypatch):
    pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    monkeypatch.syspath_prepend(ROOT / "examples")
    import run_notebook

    return run_notebook


def text_of(cell):
    """What a cell has printed."""
    return "".join("".join(output["text"]) for output in cell["outputs"] if output["output_type"] == "stream")


def test_the_committed_notebook_is_valid_small_and_the_same_everywhere():
    nbformat = pytest.importorskip("nbformat")
    assert NOTEBOOK.stat().st_size < 200_000
    notebook = json.loads(NOTEBOOK.read_text())
    assert notebook["nbformat"] == 4
    nbformat.validate(notebook)
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))  # one run, in order
    texts = ["".join(cell["source"]) for cell in notebook["cells"]] + [text_of(cell) for cell in code]
    for text in [*texts, json.dumps(notebook["metadata"])]:
        assert not re.search(r"(?<![\w.~/])/\w+/|\b[A-Z]:\\", text), "an absolute path"
    pictures = [o["data"] for cell in code for o in cell["outputs"] if o["output_type"] != "stream"]
    assert [sorted(picture) for picture in pictures] == [["image/png", "text/plain"]]


def test_the_notebooks_code_is_as_ruff_wants_it():
    pytest.importorskip("ruff")
    for command in (["check"], ["format", "--check"]):
        ruff = [sys.executable, "-m", "ruff", *command, "--no-cache", NOTEBOOK]
        done = subprocess.run(ruff, cwd=ROOT, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr


def test_only_text_and_tagged_figures_are_kept(run_notebook):
    from nbformat import v4

    printed = v4.new_output("stream", text="230.1\n")
    figure = v4.new_output("display_data", {"image/png": "iVBORw0KGgo=", "text/plain": "<Figure>"})
    tagged = v4.new_code_cell(outputs=[printed, figure], metadata={"tags": ["figure"]})
    untagged = v4.new_code_cell(outputs=[printed, figure])
    notebook = v4.new_notebook(cells=[tagged, untagged, v4.new_markdown_cell("text")])
    notebook.metadata.language_info = {"name": "python", "version": "3.11.7"}
    run_notebook.keep_small(notebook)
    assert tagged.outputs == [printed, figure]
    assert untagged.outputs == [printed]
    assert notebook.metadata.language_info == {"name": "python"}


def test_the_kernel_is_this_python_whatever_is_registered(run_notebook, tmp_path, monkeypatch):
    from nbformat import v4

    other = tmp_path / "jupyter/kernels/python3"
    other.mkdir(parents=True)
    (other / "kernel.json").write_text(json.dumps({"argv": ["false"], "display_name": "other", "language": "python"}))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    cell = v4.new_code_cell("import os, sys; print(sys.executable, os.getcwd())")
    run_notebook.execute(v4.new_notebook(cells=[cell]), tmp_path)
    assert text_of(cell) == f"{sys.executable} {tmp_path}\n"


@pytest.mark.long
@pytest.mark.timeout(600)
def test_the_notebook_clones_an_expert_that_lands_and_films_it(run_notebook, tmp_path):
    nbformat = pytest.importorskip("nbformat")
    imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg")
    (tmp_path / "examples").mkdir()
    (tmp_path / "demos").symlink_to(ROOT / "demos")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    start = time.perf_counter()
    run_notebook.execute(notebook, tmp_path / "examples", timeout=180)
    print(f"{NOTEBOOK.name}: {time.perf_counter() - start:.0f} s")  # for `pytest -s`

    cells = {cell.id: cell for cell in notebook.cells}
    scores = {}
    for name in ("test", "others"):
        for player, mean, landed in re.findall(r"(\w+) +(\S+) \+/- \S+ +at least 200: (\d+)", text_of(cells[name])):
            scores[player] = float(mean), int(landed)
    assert scores.keys() == {"BC", "expert", "DAgger", "GAIL"}
    for player, (mean, landed) in scores.items():
        assert mean >= 200, player
        assert landed >= 75, player
    assert "LunarLander-v2" in text_of(cells["describe"])
    assert re.search(r"\d+ epochs; least loss 0\.0\d+, after epoch \d+\n", text_of(cells["train"]))
    for name in ("flights", "curve"):
        assert any("image/png" in output.get("data", {}) for output in cells[name].outputs)

    video = tmp_path / "examples" / "logs/notebook/flights.mp4"
    frames, seconds = imageio_ffmpeg.count_frames_and_secs(str(video))
    assert frames > 300  # three flights
    assert seconds > 6
    (shown,) = cells["video"].outputs
    assert 'src="logs/notebook/flights.mp4"' in shown.data["text/html"]
    assert not any("%|" in text_of(cell) for cell in notebook.cells if cell.cell_type == "code"), "a progress bar"
    run_notebook.keep_small(notebook)
    assert len(nbformat.writes(notebook)) < 200_000
