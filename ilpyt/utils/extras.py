"""Packages that not everybody needs: they come with an extra of ilpyt, and are imported where they are used."""

from importlib import import_module
from typing import Any

from ilpyt.utils.errors import MissingExtraError


def require(module: str, extra: str) -> Any:
    """Import a module of an optional package.

    Args:
        module: its name, such as 'matplotlib.figure'.
        extra: of ilpyt, that the package comes with.

    Raises:
        MissingExtraError: it isn't installed; the message names the extra.
    """
    package = module.partition(".")[0]
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != package:  # it is there, but broken
            raise
        raise MissingExtraError(f"this needs {package}: pip install 'ilpyt[{extra}]'") from None
