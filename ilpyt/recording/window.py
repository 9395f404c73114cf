"""The window in which a person plays an environment (`ilpyt.recording`): gymnasium's, with two lines of text on top."""

import importlib
import sys
import warnings
from typing import TYPE_CHECKING, Any

from ilpyt.recording.keymaps import Keymap
from ilpyt.utils.display import require_pygame

if TYPE_CHECKING:
    import numpy as np

    from ilpyt.envs import DummyVecEnv

LINE = 24  # pixels that a line of text takes
STRIP = 2 * LINE + 4  # pixels above the game, for the text
SIDE = 600  # pixels that the longer side of a game has at least, about
BACKGROUND = (50, 54, 70)  # of the text; a game's own is often black or white
COLOURS = ((235, 235, 235), (255, 205, 80))  # of the two lines


def play_module() -> Any:
    """`gymnasium.utils.play`, without what else its import does.

    It imports matplotlib and changes its backend to TkAgg, for plots that aren't drawn here. So it's imported as if
    matplotlib weren't there, and forgotten again: whoever imports it later gets it whole.
    """
    name = "gymnasium.utils.play"
    if name in sys.modules:
        return sys.modules[name]
    utils = importlib.import_module("gymnasium.utils")
    missing = object()
    matplotlib: Any = sys.modules.get("matplotlib", missing)
    sys.modules["matplotlib"] = None  # type: ignore[assignment]
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*matplotlib is not installed")
            return importlib.import_module(name)
    finally:
        del sys.modules["matplotlib"]
        if matplotlib is not missing:
            sys.modules["matplotlib"] = matplotlib
        sys.modules.pop(name, None)
        vars(utils).pop("play", None)


class GameWindow:
    """A game, and what is typed.

    Window, resizing and the keys that are held are gymnasium's `PlayableGame`; its `play()` isn't used, since it can
    neither keep nor discard an episode.
    """

    def __init__(self, env: "DummyVecEnv", keymap: Keymap, fps: float, zoom: float | None = None) -> None:
        """Open the window; `open_display` comes first.

        Args:
            env: one environment that draws images, reset.
            keymap: its keys.
            fps: frames a second.
            zoom: how much larger than drawn; None: as fits a screen.
        """
        self._pygame = pygame = require_pygame()
        play = play_module()
        self._name = env.description["env_id"]
        self._keymap = keymap
        self._fps = fps
        self._display = play.display_arr
        zoom = zoom or max(1, round(SIDE / max(env.render()[0].shape[:2])))
        self._game = play.PlayableGame(env.envs[0], {tuple(keymap.codes): None}, zoom)
        width, height = self._game.video_size
        self._game.screen = pygame.display.set_mode((width, height + STRIP), pygame.RESIZABLE)
        self._clock = pygame.time.Clock()
        self._held: list[int] = []  # or tapped since the last frame; the latest last
        self._caption = ""
        self.restart_key = next(
            name for name in ("r", *(f"f{i}" for i in range(1, 13))) if pygame.key.key_code(name) not in keymap.codes
        )
        self._commands = {
            pygame.K_RETURN: "keep",
            pygame.K_KP_ENTER: "keep",
            pygame.K_BACKSPACE: "discard",
            pygame.key.key_code(self.restart_key): "restart",
        }

    @property
    def action(self) -> Any:
        """The action of the keys held; None: they mean nothing."""
        return self._keymap.action(self._held)

    def show(self, frame: "np.ndarray", status: str, hint: str) -> set[str]:
        """Draw, and wait until the next frame is due.

        Args:
            frame: the game, uint8 [H, W, 3].
            status: the line above; it is the window's title, too.
            hint: the line below it.

        Returns:
            What was asked for meanwhile: 'keep', 'discard', 'restart', 'end'.
        """
        screen = self._game.screen
        width, height = screen.get_size()
        if height > STRIP:
            below = screen.subsurface((0, STRIP, width, height - STRIP))
            self._display(below, frame, self._game.video_size, transpose=True)
        screen.fill(BACKGROUND, (0, 0, width, STRIP))
        for i, (text, colour) in enumerate(zip((status, hint), COLOURS, strict=True)):
            screen.blit(self._text(text, colour, width - 12), (6, 3 + i * LINE))
        if status != self._caption:
            self._caption = status
            self._pygame.display.set_caption(f"{self._name}: {status}")
        self._pygame.display.flip()
        self._clock.tick(self._fps)
        return self._take_events()

    def _text(self, text: str, colour: tuple[int, int, int], width: int) -> Any:
        """A line of text, drawn small enough for `width` pixels."""
        font = self._pygame.font.Font(None, LINE)
        needed = font.size(text)[0]
        if needed > width:
            font = self._pygame.font.Font(None, max(8, LINE * width // needed))
        return font.render(text, True, colour)

    def _take_events(self) -> set[str]:
        """What was asked for since the last frame; `_held` follows the keys.

        A key that went down and up again between two frames counts as held for one.
        """
        pygame, game = self._pygame, self._game
        self._held = [key for key in self._held if key in game.pressed_keys]
        asked, tapped = set(), set()
        for event in pygame.event.get():
            if event.type == pygame.WINDOWRESIZED:  # the game has what the text leaves
                event = pygame.event.Event(event.type, x=max(1, event.x), y=max(1, event.y - STRIP))
            game.process_event(event)
            if event.type != pygame.KEYDOWN:
                continue
            if event.key in game.pressed_keys:
                self._held = [key for key in self._held if key != event.key] + [event.key]
                tapped.add(event.key)
            elif event.key in self._commands:
                asked.add(self._commands[event.key])
        self._held = [key for key in self._held if key in game.pressed_keys or key in tapped]
        if not game.running:
            asked.add("end")
        return asked
