"""`ilpyt completion`."""

from typing import Annotated, Any, Literal, Union

import tyro
from tyro.conf import Positional


def completion(shell: Positional[Literal["bash", "zsh", "tcsh"]]) -> None:
    """Print a script that completes commands, algorithms and flags: `eval "$(ilpyt completion bash)"`.

    Args:
        shell: which shell.
    """
    from ilpyt.cli import COMMANDS, functions_of
    from ilpyt.cli.train_options import options_for
    from ilpyt.presets import SETTINGS

    def functions(command: str) -> dict[str, Any]:
        return {algo: options_for(algo) for algo in SETTINGS} if command == "train" else functions_of(command)

    tree: Any = _choice({command: _choice(functions(command)) for command in COMMANDS})
    tyro.cli(tree, prog="ilpyt", args=["--tyro-print-completion", shell])


def _choice(functions: dict[str, Any]) -> Any:
    """The type of a choice between commands; one alone is no choice."""
    if len(functions) == 1:
        return next(iter(functions.values()))
    choices = (Annotated[Any, tyro.conf.subcommand(name, constructor=made)] for name, made in functions.items())
    return Union[tuple(choices)]  # noqa: UP007 (how many there are is known later)
