"""A document's code blocks, and a program that runs them: `python guide.py DOCUMENT`, in the folder to run them in.

Python blocks share one namespace, in which they run in order; tests in them are called. Bash blocks are run command by
command. A comment before a block says what a reader is spared:

    <!-- setup
    states = np.zeros((10, 4))
    -->

runs Python in that namespace first, and `<!-- file: my_env.py -->` has the block written to a file instead of run.
"""

import os
import re
import subprocess
import sys
import textwrap
import time
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

RUN = ("python", "bash")
SHOWN = ("text", "bibtex", "json")  # languages of blocks that there is nothing to run in
BLOCK = re.compile(
    r"^(?:<!-- setup\n(?P<setup>.*?)^-->\n+)?(?:<!-- file: (?P<file>\S+) -->\n+)?"
    r"(?P<fence>(?P<indent>[ ]*)```)(?P<language>\S*)\n(?P<code>.*?)^(?P=fence)\s*$",
    re.M | re.S,
)


@dataclass(frozen=True)
class Block:
    """A code block: its language, its code and the line that this begins in, and what the comment before it says."""

    language: str
    code: str
    line: int
    setup: str = ""
    file: str = ""

    def commands(self) -> list[str]:
        """The commands of a bash block, without comments."""
        lines = self.code.replace("\\\n", " ").splitlines()
        return [command for line in lines if (command := re.sub(r"(^|\s+)#.*", "", " ".join(line.split())))]


def blocks(document: Path) -> Iterator[Block]:
    """The code blocks of a document, in order."""
    text = document.read_text()
    for match in BLOCK.finditer(text):
        line = text.count("\n", 0, match.start("code")) + 1
        code = textwrap.dedent(match["code"])
        yield Block(match["language"], code, line, match["setup"] or "", match["file"] or "")


def is_listed(block: Block, listed: list[str]) -> bool:
    """Whether a Python block has one of some lines."""
    return any(line in listed for line in block.code.splitlines())


def run(document: Path, listed: list[str]) -> None:
    """Run the blocks of a document, but for commands, and Python blocks with a line, that are listed."""
    module = types.ModuleType("__main__")  # in which classes of a block are looked for
    sys.modules["__main__"] = module
    for block in blocks(document):
        start = time.perf_counter()
        exec(compile(block.setup, f"<setup before {document.name}:{block.line}>", "exec"), vars(module))
        if block.file:
            Path(block.file).write_text(block.code)
        elif block.language == "python" and not is_listed(block, listed):
            code = compile("\n" * (block.line - 1) + block.code, document, "exec")
            exec(code, vars(module))
            for test in re.findall(r"^def (test_\w+)\(\):", block.code, re.M):
                vars(module)[test]()
        elif block.language == "bash":
            for command in block.commands():
                if command not in listed:
                    print(f"$ {command}", flush=True)
                    subprocess.run(["bash", "-c", command], check=True)
        if time.perf_counter() - start > 1:
            print(f"{document.name}:{block.line}: {time.perf_counter() - start:.0f} s", flush=True)


if __name__ == "__main__":
    sys.path[0] = ""  # as in a program of one's own
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    run(Path(sys.argv[1]), sys.argv[2:])
