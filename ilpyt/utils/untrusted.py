"""Reading what a stranger may have written: pickles that run nothing, and archives that are no larger than they seem.

A pickle is a program: it looks names up, calls what it finds, and sets the state of what it has. `run_pickle` runs the
instructions that plain data need, and no others. All that a program can lay hands on is given to it: objects that do
one harmless thing, never a function, class or object of Python, numpy or torch.
"""

import os
import pickletools
import zipfile
from collections.abc import Callable, Iterable, Mapping
from typing import IO, Any

MAX_INSTRUCTIONS = 300_000  # of a pickle; the largest honest ones have some ten thousand
MAX_PARTS = 100_000  # of what describes data; the largest honest descriptions have some hundred
MAX_DEPTH = 50
MAX_DIRECTORY = 2**20  # bytes of an archive's directory; the largest honest ones have some ten thousand


class RefusedError(Exception):
    """A file asks for something that plain data don't need."""


class Reader:
    """A file that is never asked for more than there is: memory isn't taken for what only claims to be large.

    Attributes:
        size: of the file, in bytes.
        limit: the most that may be read at once.
    """

    def __init__(self, file: IO[bytes]) -> None:
        """Read from an open file."""
        self._file = file
        self.size = os.fstat(file.fileno()).st_size
        self.limit = self.size
        self.seek, self.tell, self.readline = file.seek, file.tell, file.readline

    def read(self, size: int | None = None) -> bytes:
        """So many bytes, fewer if no more remain; all that remain without `size`."""
        remaining = max(self.size - self.tell(), 0)
        size = remaining if size is None or size < 0 else min(size, remaining)
        if size > self.limit:
            raise RefusedError(f"{size:,} bytes are to be read at once")
        return self._file.read(size)

    def seekable(self) -> bool:
        """What zipfile wants to know."""
        return True


class Function:
    """A function that a pickle may call; it checks its arguments."""

    __slots__ = ("call",)

    def __init__(self, call: Callable[..., Any]) -> None:
        self.call = call


class Class:
    """A class that a pickle may make objects of, by `new`; an object's state comes by its `set_state`."""

    __slots__ = ("new",)

    def __init__(self, new: Callable[..., Any]) -> None:
        self.new = new


class Stateful:
    """An object whose state a pickle may set; it checks it."""

    __slots__ = ()

    def set_state(self, state: Any) -> None:
        """Take over a state."""
        raise RefusedError(f"it sets the state of a {type(self).__name__}")


_VALUES = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "UNICODE", "BINUNICODE",
    "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8",
}  # fmt: skip
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None, "NEWTRUE": lambda: True, "NEWFALSE": lambda: False,
    "EMPTY_LIST": list, "EMPTY_TUPLE": tuple, "EMPTY_DICT": dict,
}  # fmt: skip


def run_pickle(file: Any, known: Mapping[tuple[str, str], Any], persistent: Callable[[Any], Any] | None = None) -> Any:
    """What a pickle holds.

    Args:
        file: to read from; it is left after the pickle.
        known: what the program finds under a module and a name: a `Function`, a `Class`, or any harmless object.
        persistent: gives the object of a persistent id.

    Raises:
        RefusedError: the program does something that plain data don't need.
        Exception: it is broken.
    """
    stack: list[Any] = []
    marks: list[int] = []  # places in the stack
    memo: dict[int, Any] = {}

    def pop_to_mark() -> list[Any]:
        start = marks.pop()
        items = stack[start:]
        del stack[start:]
        return items

    argument: Any
    for count, (instruction, argument, _) in enumerate(pickletools.genops(file)):
        name = instruction.name
        if count >= MAX_INSTRUCTIONS:
            raise RefusedError(f"it has more than {MAX_INSTRUCTIONS:,} instructions")
        if name in _VALUES:
            stack.append(argument)
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name]())
        elif name == "MARK":
            marks.append(len(stack))
        elif name in ("PUT", "BINPUT", "LONG_BINPUT"):
            memo[argument] = stack[-1]
        elif name == "MEMOIZE":
            memo[len(memo)] = stack[-1]
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        elif name in ("TUPLE1", "TUPLE2", "TUPLE3"):
            size = int(name[-1])
            stack[-size:] = [tuple(stack[-size:])]
        elif name == "TUPLE":
            stack.append(tuple(pop_to_mark()))
        elif name == "LIST":
            stack.append(pop_to_mark())
        elif name == "DICT":
            items = pop_to_mark()
            stack.append({})
            _fill(stack[-1], items)
        elif name in ("APPEND", "APPENDS"):
            items = pop_to_mark() if name == "APPENDS" else [stack.pop()]
            if type(stack[-1]) is not list:
                raise RefusedError(f"it appends to a {type(stack[-1]).__name__}")
            stack[-1].extend(items)
        elif name == "SETITEM":
            value, key = stack.pop(), stack.pop()
            _fill(stack[-1], [key, value])
        elif name == "SETITEMS":
            items = pop_to_mark()
            _fill(stack[-1], items)
        elif name in ("GLOBAL", "STACK_GLOBAL"):
            found = argument.split(" ", 1) if name == "GLOBAL" else [stack.pop(), stack.pop()][::-1]
            stack.append(_find(known, *found))
        elif name in ("REDUCE", "NEWOBJ"):
            arguments, called = stack.pop(), stack.pop()
            allowed = called.call if isinstance(called, Function) else called.new if isinstance(called, Class) else None
            if allowed is None or (name == "NEWOBJ" and not isinstance(called, Class)):
                raise RefusedError(f"it calls a {type(called).__name__}")
            stack.append(allowed(*arguments))
        elif name == "BUILD":
            state = stack.pop()
            if not isinstance(stack[-1], Stateful):
                raise RefusedError(f"it sets the state of a {type(stack[-1]).__name__}")
            stack[-1].set_state(state)
        elif name == "BINPERSID" and persistent is not None:
            stack.append(persistent(stack.pop()))
        elif name == "POP":
            stack.pop()
        elif name == "STOP":
            return stack.pop()
        elif name not in ("PROTO", "FRAME"):
            raise RefusedError(f"it has the instruction {name}")
    raise EOFError("it has no end")


def _fill(target: Any, items: list[Any]) -> None:
    """Put keys and values, one after the other, into a dict."""
    if not isinstance(target, dict):
        raise RefusedError(f"it sets items of a {type(target).__name__}")
    for key, value in zip(items[::2], items[1::2], strict=True):
        if type(key) not in (str, int):  # the hash of nested tuples can take for ever
            raise RefusedError(f"it has a {type(key).__name__} for a key")
        target[key] = value


def _find(known: Mapping[tuple[str, str], Any], module: Any, name: Any) -> Any:
    if type(module) is not str or type(name) is not str:
        raise RefusedError("it looks up what isn't a name")
    try:
        return known[module, name]
    except KeyError:
        raise RefusedError(f"it asks for {module[:100]}.{name[:100]}, which plain data don't need") from None


def open_archive(reader: Reader, compressed: bool) -> zipfile.ZipFile:
    """A zip file whose directory has a reasonable length and names everything once.

    Args:
        reader: the file.
        compressed: whether its members may be deflated; else they are stored as they are.

    Raises:
        RefusedError: it is none that ilpyt, numpy or torch write.
        Exception: it is broken.
    """
    reader.limit = MAX_DIRECTORY  # which is read at once
    archive = zipfile.ZipFile(reader)
    reader.limit = reader.size
    members = archive.infolist()
    names = [member.filename.lower() for member in members]
    allowed = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) if compressed else (zipfile.ZIP_STORED,)
    if len(set(names)) < len(names):
        raise RefusedError("it has two members of one name")
    for member in members:
        if member.compress_type not in allowed:
            raise RefusedError(f"its member {member.filename} is compressed in a way that isn't needed")
        if member.flag_bits & 1:
            raise RefusedError(f"its member {member.filename} is encrypted")
        if member.compress_type == zipfile.ZIP_STORED and member.file_size != member.compress_size:
            raise RefusedError(f"its member {member.filename} has two sizes")
    if sum(member.compress_size for member in members) > reader.size:
        raise RefusedError("its members are larger than it is")
    return archive


def product(lengths: Iterable[int]) -> int:
    """Of whole numbers; however large it is, it doesn't overflow."""
    result = 1
    for length in lengths:
        result *= length
    return result


def check_small(value: Any) -> None:
    """Refuse nested dicts and lists that take for ever to go through, which a few instructions of a pickle can make.

    Raises:
        RefusedError: there are more than `MAX_PARTS` keys and values, or they lie deeper than `MAX_DEPTH`.
    """
    parts, count = [(value, 0)], 0
    while parts:
        part, depth = parts.pop()
        count += 1
        if count > MAX_PARTS or depth > MAX_DEPTH or (isinstance(part, int) and part.bit_length() > 64):
            raise RefusedError("its description is longer, deeper or larger than any should be")
        inner = [*part, *part.values()] if isinstance(part, dict) else part if isinstance(part, list | tuple) else ()
        parts += [(each, depth + 1) for each in inner]
