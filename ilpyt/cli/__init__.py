"""The command line: `ilpyt train GAIL CartPole-v0`, and what else `ilpyt --help` lists.

What a command does is said by the function of its name, in the module of its name; tyro makes flags of its signature
and docstring. Nothing imports torch before a command needs it.
"""

import importlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ilpyt.utils.errors import IlpytError
from ilpyt.utils.extras import require
from ilpyt.utils.text import printable

COMMANDS = ("train", "test", "watch", "record", "demos", "plot", "table1", "completion")  # as `ilpyt --help` lists them
NAMING_MODULES = ("train", "test", "watch", "record", "demos")  # that find modules of one's own where one stands


def main(arguments: Sequence[str] | None = None) -> None:
    """Do what a command line asks for.

    Args:
        arguments: after the program's name; None: the process's.

    Raises:
        SystemExit: with 2 for a command line that isn't understood, with a line on stderr for what went wrong;
            `ILPYT_TRACEBACK=1` shows where.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if arguments[:1] and arguments[0] in NAMING_MODULES and any(map(_names_module, arguments[1:])):
        sys.path.append(str(Path.cwd()))
    try:
        _run(arguments)
    except BrokenPipeError:  # whoever read what it prints has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (IlpytError, OSError, ValueError, TypeError) as error:
        if os.environ.get("ILPYT_TRACEBACK"):
            raise
        lines = [printable(line, 2000) for line in str(error).splitlines()]  # which may quote a stranger's file
        raise SystemExit("ilpyt: " + "\n".join(lines)) from None
    except KeyboardInterrupt as stop:
        raise stop if isinstance(stop, SystemExit) else SystemExit(130) from None


def _run(arguments: list[str]) -> None:
    tyro: Any = require("tyro", "cli")
    asked, prog = arguments[0] if arguments else "", "ilpyt"
    about = "Imitation learning: demonstrations, training, and what came of it."
    functions: dict[str, Callable] = {name: getattr(_module(name), name) for name in COMMANDS}
    if asked in COMMANDS and hasattr(_module(asked), "main"):  # it makes its flags when it knows what they are for
        return _module(asked).main(arguments[1:])
    if asked in COMMANDS and len(functions_of(asked)) > 1:
        functions, prog, arguments = functions_of(asked), f"ilpyt {asked}", arguments[1:]
        about = (_module(asked).__doc__ or "").partition("\n")[0]
    tyro.extras.subcommand_cli_from_dict(functions, prog=prog, description=about, args=arguments or ["--help"])
    return None


def _names_module(argument: str) -> bool:
    """Whether somebody asks for a module: 'my_module:MyEnv-v0', or all that a file names."""
    module, colon, _ = argument.partition(":")
    return argument == "--trust" or (bool(colon) and module not in ("minari", "gym", "gymnasium"))


def functions_of(command: str) -> dict[str, Callable]:
    """The function of a command, or those of the commands inside it, by name."""
    module = _module(command)
    return getattr(module, "COMMANDS", None) or {command: getattr(module, command)}


def _module(command: str) -> Any:
    return importlib.import_module(f"ilpyt.cli.{command}")
