"""Faults on purpose. All of these tests are long ones: `pytest -m long tests/faults`.

Sizes are those of CI; `pytest -m long tests/faults --long` makes them ten times as large, for a release. Figures that
docs/reliability.md gives are printed at the end.
"""

from pathlib import Path

import pytest

HERE = Path(__file__).parent
FIGURES = []


def pytest_collection_modifyitems(items):
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.long)


def pytest_terminal_summary(terminalreporter):
    if FIGURES:
        terminalreporter.section("figures")
        for line in FIGURES:
            terminalreporter.line(line)


@pytest.fixture(scope="session")
def scale(request):
    """What sizes are multiplied with."""
    return 10 if request.config.getoption("--long") else 1


@pytest.fixture(scope="session")
def figures():
    """A list of lines that are printed when all tests are over."""
    return FIGURES
