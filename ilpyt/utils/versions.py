"""Versions of what results depend on."""

import platform
from importlib.metadata import PackageNotFoundError, version

PACKAGES = ("ilpyt", "torch", "numpy", "gymnasium", "gym", "box2d")


def package_versions() -> dict[str, str]:
    """Versions of Python and of the packages that decide what a run gives."""
    return {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
