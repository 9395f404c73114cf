"""Faults on purpose. All of these tests are long ones: `pytest -m long tests/faults`.

Sizes are those of CI; `--long` makes them ten times as large, for a release.
"""

from pathlib import Path

import pytest

HERE = Path(__file__).parent


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true", help="fault tests of ten times the size, for a release")


def pytest_collection_modifyitems(items):
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.long)


@pytest.fixture(scope="session")
def scale(request):
    """What sizes are multiplied with."""
    return 10 if request.config.getoption("--long") else 1
