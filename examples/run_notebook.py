"""Run the notebook in place, without a browser, and keep of its outputs what a repository should.

python examples/run_notebook.py
"""

import time
from pathlib import Path

import nbformat
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpecManager
from nbclient import NotebookClient
from traitlets import default

NOTEBOOK = Path(__file__).with_name("demonstrations_to_video.ipynb")


class OwnKernel(AsyncKernelManager):
    """The Python that runs this, whatever kernels are registered under its name."""

    @default("kernel_spec_manager")
    def _from_this_environment(self) -> KernelSpecManager:
        return KernelSpecManager(kernel_dirs=[])

    @default("transport_encryption")  # of jupyter_client 8.10 and later, whose kernels warn if there is none
    def _encrypted_if_possible(self) -> str:
        return "auto"


def execute(notebook: nbformat.NotebookNode, folder: Path, timeout: int = 180) -> None:
    """Run all cells, with a working folder; their outputs are in the notebook afterwards.

    Args:
        timeout: seconds that each cell may take.

    Raises:
        nbclient.exceptions.CellExecutionError, CellTimeoutError: a cell failed, or took too long.
    """
    NotebookClient(
        notebook,
        timeout=timeout,
        kernel_name="python3",
        kernel_manager_class=OwnKernel,
        record_timing=False,
        resources={"metadata": {"path": str(folder)}},
    ).execute()


def keep_small(notebook: nbformat.NotebookNode) -> None:
    """Remove outputs other than text and figures of cells tagged 'figure', and what differs between machines."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            is_figure = "figure" in cell.metadata.get("tags", [])
            cell.outputs = [output for output in cell.outputs if output.output_type == "stream" or is_figure]
    notebook.metadata.language_info = {"name": "python"}


if __name__ == "__main__":
    content = nbformat.read(NOTEBOOK, as_version=4)
    start = time.perf_counter()
    execute(content, NOTEBOOK.parent)
    seconds = time.perf_counter() - start
    keep_small(content)
    nbformat.write(content, NOTEBOOK)
    print(f"{NOTEBOOK.name}: {seconds:.0f} s, {NOTEBOOK.stat().st_size / 1000:.0f} KB")
