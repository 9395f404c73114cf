"""The screen, by pygame, and what is said where there is none."""

import os
from typing import Any

from ilpyt.utils.errors import DisplayError
from ilpyt.utils.extras import require

HIDDEN_DRIVERS = ("dummy", "offscreen")  # SDL's, that show nothing


def require_pygame() -> Any:
    """pygame, which greets nobody.

    Raises:
        MissingExtraError: it isn't installed.
    """
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    return require("pygame", "record")


def open_display(instead: str) -> Any:
    """pygame, with its display initialised.

    Args:
        instead: what to do where there is no screen.

    Raises:
        MissingExtraError: pygame isn't installed.
        DisplayError: there's no screen. Drivers that show nothing are taken only where `SDL_VIDEODRIVER` names them.
    """
    pygame = require_pygame()
    asked = os.environ.get("SDL_VIDEODRIVER")
    try:
        pygame.display.init()
        driver = pygame.display.get_driver()
    except pygame.error as error:
        driver, reason = None, str(error)
    else:
        reason = f"SDL's driver is {driver!r}, which shows nothing"
    if driver is None or (driver in HIDDEN_DRIVERS and not asked):
        pygame.display.quit()
        raise DisplayError(f"there is no screen ({reason}). {instead}")
    pygame.font.init()
    return pygame
