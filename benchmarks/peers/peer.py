"""How `speed.py` talks with programs that run in other environments: a line of JSON in, a line of JSON out.

Each line names a method in `do`; the rest are its arguments. Nothing but the standard library is imported here.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, TextIO

HERE = Path(__file__).parent
# stable-baselines3 asks environments for frames unless told otherwise, and LunarLander then simulates sparks for them,
# which takes longer than all the rest.
UNDRAWN = {"render_mode": None}


class Peer:
    """A program that answers, in a process and an environment of its own."""

    def __init__(self, script: str, environment: str) -> None:
        """Start `script` with the Python of `environment`, which `make bench-env` makes."""
        python = HERE.parents[1] / environment / "bin/python"
        if not python.exists():
            raise SystemExit("the peers' environments aren't there: run `make bench-env` first")
        self._errors = tempfile.TemporaryFile(mode="w+")  # noqa: SIM115
        self._process = subprocess.Popen(
            [python, HERE / script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )

    def ask(self, **command: Any) -> dict[str, Any]:
        """Send a command, and wait for its answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(json.dumps(command), file=self._process.stdin, flush=True)
        line = self._process.stdout.readline()
        if not line:
            self._errors.seek(0)
            said = self._errors.read()[-2000:]
            raise SystemExit(f"the peer died on {command}:\n{said}\n`make bench-env` makes its environment anew")
        return dict(json.loads(line))

    def close(self) -> None:
        """End the process."""
        self._process.communicate("")
        self._errors.close()


def answer(peer: Any, questions: TextIO, answers: TextIO) -> None:
    """The other side: call the methods of `peer` until the pipe closes; whatever they print goes to stderr."""
    sys.stdout = sys.stderr
    for line in questions:
        command = json.loads(line)
        print(json.dumps(getattr(peer, command.pop("do"))(**command)), file=answers, flush=True)
