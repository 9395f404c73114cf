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
    """A class that a pickle may make objects of; an object's state comes by its `set_state`."""

    __slots__ = ("call",)

    def __init__(self, call: Callable[..., Any]) -> None:
        self.call = call


class Stateful:
    """An object whose state a pickle may set; it checks it."""

    __slots__ = ()

    def set_state(self, state: Any) -> None:
        """Take over a state."""
        raise RefusedError(f"it sets the state of a {type(self).__name__}")


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
    machine = _Machine(known, persistent)
    for count, (instruction, argument, _) in enumerate(pickletools.genops(file)):
        if count >= MAX_INSTRUCTIONS:
            raise RefusedError(f"it has more than {MAX_INSTRUCTIONS:,} instructions")
        if instruction.name not in _INSTRUCTIONS:
            raise RefusedError(f"it has the instruction {instruction.name}")
        _INSTRUCTIONS[instruction.name](machine, argument)
    return machine.stack.pop()


class _Machine:
    """What a pickle's instructions work on: a stack, marks in it, and a memo of objects that are used again."""

    def __init__(self, known: Mapping[tuple[str, str], Any], persistent: Callable[[Any], Any] | None) -> None:
        self.known = known
        self.persistent = persistent
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def ignore(self, _: Any) -> None:
        pass

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop(self, _: Any = None) -> Any:
        return self.stack.pop()

    def mark(self, _: Any) -> None:
        self.marks.append(len(self.stack))

    def pop_to_mark(self) -> list[Any]:
        start = self.marks.pop()
        items = self.stack[start:]
        del self.stack[start:]
        return items

    def put(self, key: int) -> None:
        self.memo[key] = self.stack[-1]

    def memoize(self, _: Any) -> None:
        self.put(len(self.memo))

    def get(self, key: int) -> None:
        self.push(self.memo[key])

    def make_list(self, _: Any) -> None:
        self.push(self.pop_to_mark())

    def make_tuple(self, _: Any) -> None:
        self.push(tuple(self.pop_to_mark()))

    def tuple_of(self, size: int) -> None:
        self.stack[-size:] = [tuple(self.stack[-size:])]

    def make_dict(self, _: Any) -> None:
        items = self.pop_to_mark()
        self.push({})
        self.fill(items)

    def append(self, _: Any) -> None:
        self.extend([self.pop()])

    def appends(self, _: Any) -> None:
        self.extend(self.pop_to_mark())

    def extend(self, items: list[Any]) -> None:
        if type(self.stack[-1]) is not list:
            raise RefusedError(f"it appends to a {type(self.stack[-1]).__name__}")
        self.stack[-1].extend(items)

    def setitem(self, _: Any) -> None:
        value, key = self.pop(), self.pop()
        self.fill([key, value])

    def setitems(self, _: Any) -> None:
        self.fill(self.pop_to_mark())

    def fill(self, items: list[Any]) -> None:
        """Put keys and values, one after the other, into the dict on top."""
        target = self.stack[-1]
        if not isinstance(target, dict):
            raise RefusedError(f"it sets items of a {type(target).__name__}")
        for key, value in zip(items[::2], items[1::2], strict=True):
            if type(key) not in (str, int):  # the hash of nested tuples can take for ever
                raise RefusedError(f"it has a {type(key).__name__} for a key")
            target[key] = value

    def find_global(self, argument: str) -> None:
        self.find(*argument.split(" ", 1))

    def find_stacked(self, _: Any) -> None:
        name, module = self.pop(), self.pop()
        self.find(module, name)

    def find(self, module: Any, name: Any) -> None:
        if type(module) is not str or type(name) is not str:
            raise RefusedError("it looks up what isn't a name")
        if (module, name) not in self.known:
            raise RefusedError(f"it asks for {module[:100]}.{name[:100]}, which plain data don't need")
        self.push(self.known[module, name])

    def reduce(self, _: Any) -> None:
        arguments, called = self.pop(), self.pop()
        if not isinstance(called, Function | Class):
            raise RefusedError(f"it calls a {type(called).__name__}")
        self.push(called.call(*arguments))

    def new(self, _: Any) -> None:
        arguments, called = self.pop(), self.pop()
        if not isinstance(called, Class):
            raise RefusedError(f"it makes an object of a {type(called).__name__}")
        self.push(called.call(*arguments))

    def build(self, _: Any) -> None:
        state = self.pop()
        if not isinstance(self.stack[-1], Stateful):
            raise RefusedError(f"it sets the state of a {type(self.stack[-1]).__name__}")
        self.stack[-1].set_state(state)

    def persistent_id(self, _: Any) -> None:
        if self.persistent is None:
            raise RefusedError("it has the instruction BINPERSID")
        self.push(self.persistent(self.pop()))


_VALUES = (
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "UNICODE", "BINUNICODE",
    "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8",
)  # fmt: skip
_INSTRUCTIONS: dict[str, Callable[[_Machine, Any], Any]] = {
    **dict.fromkeys(_VALUES, _Machine.push),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), _Machine.put),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), _Machine.get),
    **dict.fromkeys(("PROTO", "FRAME", "STOP"), _Machine.ignore),
    "NONE": lambda machine, _: machine.push(None),
    "NEWTRUE": lambda machine, _: machine.push(True),
    "NEWFALSE": lambda machine, _: machine.push(False),
    "EMPTY_LIST": lambda machine, _: machine.push([]),
    "EMPTY_TUPLE": lambda machine, _: machine.push(()),
    "EMPTY_DICT": lambda machine, _: machine.push({}),
    "TUPLE1": lambda machine, _: machine.tuple_of(1),
    "TUPLE2": lambda machine, _: machine.tuple_of(2),
    "TUPLE3": lambda machine, _: machine.tuple_of(3),
    "MARK": _Machine.mark, "MEMOIZE": _Machine.memoize, "POP": _Machine.pop,
    "LIST": _Machine.make_list, "TUPLE": _Machine.make_tuple, "DICT": _Machine.make_dict,
    "APPEND": _Machine.append, "APPENDS": _Machine.appends,
    "SETITEM": _Machine.setitem, "SETITEMS": _Machine.setitems,
    "GLOBAL": _Machine.find_global, "STACK_GLOBAL": _Machine.find_stacked,
    "REDUCE": _Machine.reduce, "NEWOBJ": _Machine.new, "BUILD": _Machine.build, "BINPERSID": _Machine.persistent_id,
}  # fmt: skip


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
