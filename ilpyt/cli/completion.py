"""`ilpyt completion`."""

import io
from contextlib import redirect_stdout, suppress
from typing import Annotated, Any, Literal, Union

import tyro
from tyro.conf import Positional


def completion(shell: Positional[Literal["bash", "zsh", "tcsh"]]) -> None:
    """Print a script that completes commands, algorithms, flags and, in bash, files.

    Args:
        shell: which shell.
    """
    from ilpyt.cli import COMMANDS, functions_of
    from ilpyt.cli.train_options import options_for
    from ilpyt.presets import SETTINGS

    def functions(command: str) -> dict[str, Any]:
        return {algo: options_for(algo) for algo in SETTINGS} if command == "train" else functions_of(command)

    tree: Any = _choice({command: _choice(functions(command)) for command in COMMANDS})
    with redirect_stdout(io.StringIO()) as printed, suppress(SystemExit):
        tyro.cli(tree, prog="ilpyt", args=["--tyro-print-completion", shell])
    print(_with_files(printed.getvalue()) if shell == "bash" else printed.getvalue())


def _with_files(script: str) -> str:
    """The script for bash, which has nothing to offer for a file's name, made to leave these to bash."""
    answer = '  COMPREPLY=("${matches[@]}")\n'
    what_begins_so = """  COMPREPLY=()
  local match
  for match in "${matches[@]}"; do
    [[ -n "$match" && "$match" != "-" && "$match" == "${COMP_WORDS[COMP_CWORD]}"* ]] && COMPREPLY+=("$match")
  done
"""
    return script.replace(answer, what_begins_so).replace("complete -F", "complete -o bashdefault -o default -F")


def _choice(functions: dict[str, Any]) -> Any:
    """The type of a choice between commands; one alone is no choice."""
    if len(functions) == 1:
        return next(iter(functions.values()))
    choices = (Annotated[Any, tyro.conf.subcommand(name, constructor=made)] for name, made in functions.items())
    return Union[tuple(choices)]  # noqa: UP007 (how many there are is known later)
