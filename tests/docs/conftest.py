"""Prints how long each document took."""

import pytest

SECONDS: dict[str, float] = {}


@pytest.fixture(scope="session")
def seconds():
    """Those that documents took, by name."""
    return SECONDS


def pytest_terminal_summary(terminalreporter):
    if SECONDS:
        terminalreporter.section("documents")
        for name, spent in SECONDS.items():
            terminalreporter.line(f"{name}: {spent:.0f} s")
