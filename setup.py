"""ilpyt's package metadata; tools are configured in pyproject.toml."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(r'__version__ = "(.+)"', (HERE / "ilpyt/__init__.py").read_text())[1]  # type: ignore[index]

BOX2D = ["box2d>=2.3.10", "pygame>=2.1.3"]
ATARI = ["ale-py>=0.10", "opencv-python-headless>=4.8"]  # gymnasium resizes images with OpenCV
CLI = ["tyro>=1.0", "docstring_parser>=0.16"]
PLOT = ["matplotlib>=3.8"]
VIDEO = ["imageio-ffmpeg>=0.5", "pygame>=2.1.3"]  # which bring ffmpeg, and what most environments draw with
RECORD = ["pygame>=2.1.3"]
MINARI = ["minari[hdf5]>=0.5.4"]  # which writes images without loss; with NumPy 2 only
WANDB = ["wandb>=0.17"]
NOTEBOOK = ["ipykernel>=6", "nbclient>=0.10"]
ALL = [*BOX2D, *ATARI, *CLI, *PLOT, *VIDEO, *RECORD, *MINARI, *WANDB, *NOTEBOOK]
TEST = [
    *BOX2D,
    *CLI,
    *PLOT,
    *VIDEO,
    "pytest>=7.4",
    "pytest-timeout>=2.1",
    "pytest-xdist>=3.3",
    "hypothesis>=6.80",
]
DOCS = ["pdoc3>=0.11", "markdown<3.11"]  # Markdown 3.11 breaks the section headings that pdoc3 writes
DEV = [
    *TEST,
    *DOCS,
    *ALL,
    "minari[create]",  # its data collector, which needs jax
    "ruff>=0.6",
    "mypy>=1.11",
    "import-linter>=2.0",
    "types-tqdm",
    "pre-commit>=3.5",
]

setup(
    name="ilpyt",
    version=VERSION,
    description="Imitation learning research in PyTorch",
    long_description=(HERE / "README.md").read_text(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    packages=find_packages(include=["ilpyt", "ilpyt.*"]),
    entry_points={"console_scripts": ["ilpyt = ilpyt.cli:main"]},
    package_data={"ilpyt": ["py.typed"]},
    python_requires=">=3.10",
    install_requires=[
        "torch>=2.4",
        "numpy>=1.26",
        "gym>=0.26.2",
        "gymnasium>=1.0",
        "cloudpickle>=2.2",
        "tensorboard>=2.14",
        "pillow>=9.4",
        "tqdm>=4.65",
    ],
    extras_require={
        "box2d": BOX2D,
        "atari": ATARI,
        "cli": CLI,
        "plot": PLOT,
        "video": VIDEO,
        "record": RECORD,
        "minari": MINARI,
        "wandb": WANDB,
        "notebook": NOTEBOOK,
        "all": ALL,
        "test": TEST,
        "dev": DEV,
    },
)
