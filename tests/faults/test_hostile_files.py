"""Files of strangers: demonstrations, weights, checkpoints, broken by chance or on purpose.

Each either loads to valid data or is ilpyt's own error. Nothing runs, nothing is written, memory stays under twice the
file's honest size and 100 MB, and no call takes five seconds.
"""

import contextlib
import io
import os
import pickle
import pickletools
import random
import struct
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ilpyt
from ilpyt.agents import ImitationAgent
from ilpyt.runners import Experiences
from ilpyt.utils import demos as demos_module
from ilpyt.utils.checkpoint import load_state, save_state
from ilpyt.utils.demos import FIELDS
from ilpyt.utils.errors import DataError, IlpytError
from ilpyt.utils.seed_utils import set_seed
from tests.algos.test_resume import CASES, learn, make
from tests.conftest import ROOT
from tests.faults.watch import bounded, highest, nothing_happens


def experiences():
    rng = np.random.default_rng(0)
    dones = np.arange(60) % 20 == 19
    return Experiences(
        rng.normal(size=(60, 4)), rng.integers(0, 2, 60), np.ones(60), dones, truncated=dones, metadata={"expert": "me"}
    )


def old_experiences():
    """A pickle of the 2021 release: tensors, in protocol 2."""

    class Old:
        def __init__(self):
            d = experiences()
            self.__dict__.update(states=d.states, actions=d.actions, rewards=d.rewards, dones=d.dones)

    Old.__module__, Old.__qualname__ = "ilpyt.runners.runner", "Experiences"
    original = ilpyt.runners.runner.Experiences
    try:
        ilpyt.runners.runner.Experiences = Old
        return pickle.dumps(Old(), protocol=2)
    finally:
        ilpyt.runners.runner.Experiences = original


@pytest.fixture(scope="module")
def env(tmp_path_factory):
    with ilpyt.envs.build_env("CartPole-v0", num_env=4) as env:
        folder = tmp_path_factory.mktemp("first")  # what is imported to read a file is imported now
        experiences().save(folder / "demos.npz")
        agent(env).save(folder, 7)
        for file in folder.iterdir():
            load(file, env)
        yield env


@pytest.fixture(scope="module")
def valid(env, tmp_path_factory):
    """Content of a valid file of each kind, by the name that a mutated one is given."""
    folder = tmp_path_factory.mktemp("valid")
    for suffix in ("npz", "pkl"):
        experiences().save(folder / f"demos.{suffix}")
    (folder / "old.pkl").write_bytes(old_experiences())
    set_seed(0)
    agent(env).save(folder, 7)
    demos = Experiences.load(ROOT / "demos/CartPole-v0/demos.pkl")[:200]
    for name in CASES:
        learn(make(name, 0, folder / name), demos)
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*.p*") if is_kind(file.name)} | {
        "demos.npz": (folder / "demos.npz").read_bytes()
    }


def is_kind(name):
    return name in ("demos.pkl", "old.pkl", "net_7.pth", "checkpoint.pt")


def agent(env):
    return ImitationAgent(ilpyt.nets.choose_net(env, hidden_sizes=(16,), normalize=True))


def load(file, env):
    """What a user does with a file of its kind; IlpytError if ilpyt refuses it, valid data otherwise."""
    if file.suffix in (".pkl", ".npz"):
        demos = Experiences.load(file).fit_to(env, str(file))
        assert len(demos) == len(demos.states) == len(demos.actions) == len(demos.rewards) == len(demos.dones) > 0
        assert torch.isfinite(demos.states).all()
        assert demos.actions.dtype == torch.int64
        assert set(demos.actions.tolist()) <= {0, 1}
    elif file.suffix == ".pth":
        own = agent(env)
        own.load(file.parent)
        assert own.find_not_finite() is None
        assert own.step(torch.zeros(2, 4)).shape == (2,)
    else:
        load_state(file)


def outcome(file, env, honest_size=0):
    """Whether a file is loaded, under all that is promised."""
    with bounded(2 * max(honest_size, file.stat().st_size) / 2**20 + 100), nothing_happens():
        try:
            load(file, env)
        except IlpytError:
            return False
        return True


def mutated(content, others, rng):
    """The content with something done to it."""
    content = bytearray(content)
    kind = rng.randrange(8)
    start = rng.randrange(len(content))
    length = rng.choice([1, 1, 2, 8, 100, 1000])
    if kind == 0:  # bits flip
        for _ in range(rng.choice([1, 1, 3, 20])):
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    elif kind == 1:  # the file ends early
        del content[start:]
    elif kind == 2:  # some of it is missing
        del content[start : start + length]
    elif kind == 3:  # some of it comes twice
        content[start:start] = content[start : start + length]
    elif kind == 4:  # it was never written
        content[start : start + length] = bytes(len(content[start : start + length]))
    elif kind == 5:  # something else is in its place
        content[start : start + length] = rng.randbytes(length)
    elif kind == 6:  # a number is huge
        size = rng.choice([4, 8])
        content[start : start + size] = rng.choice([b"\xff", b"\x7f"]) * size
    else:  # a part of another file
        other = others[rng.randrange(len(others))]
        at = rng.randrange(len(other))
        content[start : start + length] = other[at : at + length]
    return bytes(content)


def test_mutated_files_are_refused_or_valid(valid, env, tmp_path, scale, figures):
    rng = random.Random(20261123)
    others, loaded = list(valid.values()), dict.fromkeys(valid, 0)
    number = 2000 * scale
    for k in range(number):
        name = list(valid)[k % len(valid)]
        content = mutated(valid[name], others, rng)
        for _ in range(rng.choice([0, 0, 1, 4])):
            content = mutated(content or b"x", others, rng)
        file = tmp_path / name.rpartition("/")[2]
        file.write_bytes(content)
        try:
            loaded[name] += outcome(file, env)
        except BaseException as error:
            raise AssertionError(f"file {k}, {name}") from error
    for name in valid:  # unharmed ones are loaded, else nothing was tested
        (tmp_path / name.rpartition("/")[2]).write_bytes(valid[name])
        assert outcome(tmp_path / name.rpartition("/")[2], env)
    figures.append(
        f"{number} mutated files: {number - sum(loaded.values())} refused, {sum(loaded.values())} valid data; at most "
        f"{highest['megabytes']:.0f} MB and {highest['seconds']:.2f} s"
    )
    assert sum(loaded.values()) < number / 4


# --- weights and checkpoints that are whole files, but of something else


def leaves(state, path=()):
    """Paths to all parts of nested dicts, lists and tuples."""
    yield path
    items = state.items() if isinstance(state, dict) else enumerate(state) if isinstance(state, list | tuple) else ()
    for key, value in items:
        yield from leaves(value, (*path, key))


def changed(state, path, change):
    """A copy with one part changed."""
    if not path:
        return change(state)
    if isinstance(state, dict):
        rest = {k: v for k, v in state.items() if k != path[0]}
        new = changed(state[path[0]], path[1:], change)
        return rest if new is REMOVED else {k: new if k == path[0] else v for k, v in state.items()}
    new = changed(state[path[0]], path[1:], change)
    parts = [*state[: path[0]], *([] if new is REMOVED else [new]), *state[path[0] + 1 :]]
    return type(state)(parts)


REMOVED = object()
TENSOR_CHANGES = [
    lambda t: t[:-1] if t.dim() else t[None],
    lambda t: t[None],
    lambda t: t.double() if t.dtype == torch.float32 else t.float(),
    lambda t: t.to(torch.complex64),
    lambda t: t.to(torch.uint8),
    lambda t: torch.full_like(t, float("nan")) if t.is_floating_point() else torch.full_like(t, -1 % 2),
    lambda t: torch.full_like(t, -float("inf")) if t.is_floating_point() else t[:0] if t.dim() else t,
    lambda t: t.expand(7, *t.shape),
    lambda t: torch.zeros(0),
    lambda t: t.tolist(),
]
OTHER_CHANGES = [
    lambda _: None, lambda _: "text", lambda _: -1, lambda _: float("nan"), lambda _: {}, lambda _: [], lambda _: 2**70,
    lambda _: REMOVED, lambda x: [x], lambda x: {"x": x}, lambda _: torch.zeros(3),
]  # fmt: skip


@pytest.mark.parametrize("name", CASES)
@pytest.mark.filterwarnings("ignore")
def test_checkpoints_of_something_else_are_refused_or_gone_on_from(name, valid, tmp_path, scale, figures):
    """Valid files whose content was changed: what is loaded must train on, without an error that isn't ilpyt's own."""
    rng = random.Random(name)
    file = tmp_path / "checkpoint.pt"
    file.write_bytes(valid[f"{name}/checkpoint.pt"])
    state = load_state(file)
    paths = [path for path in leaves(state) if path]
    by_part = {}
    for path in paths:
        by_part.setdefault(tuple(p for p in path if isinstance(p, str)), []).append(path)
    demos = Experiences.load(ROOT / "demos/CartPole-v0/demos.pkl")[:200]
    outcomes = {"refused": 0, "gone on": 0}
    more = {"num_steps": 720} if "num_steps" in CASES[name][1] else {}
    for k in range(60 * scale):
        path = rng.choice(by_part[rng.choice(list(by_part))])
        part = state
        for key in path:
            part = part[key]
        number = rng.randrange(1000)
        changes = TENSOR_CHANGES if isinstance(part, torch.Tensor) and number % 3 else OTHER_CHANGES
        change = changes[number % len(changes)]
        file.unlink()
        new = changed(state, path, change)
        if new is REMOVED:
            continue
        torch.save(new, file)
        algo = make(name, k, tmp_path)
        try:
            learn(algo, demos, resume=True, **more)
            outcomes["gone on"] += 1
        except IlpytError:
            outcomes["refused"] += 1
        except BaseException as error:
            kind = "tensors" if changes is TENSOR_CHANGES else "others"
            raise AssertionError(f"change {number % len(changes)} of {kind} at {path}") from error
        assert algo.agent.find_not_finite() is None
    figures.append(f"checkpoints of {name} with one part changed: {outcomes}")
    assert min(outcomes.values()) > 0


# --- files made to harm


class Runs:
    """A pickle of it runs a command when it is loaded."""

    def __init__(self, function, *arguments):
        self.reduced = function, arguments

    def __reduce__(self):
        return self.reduced


def named(module, name):
    return b"".join(b"\x8c" + bytes([len(x)]) + x.encode() for x in (module, name)) + b"\x93"


def record(states, proto=4):
    """A pickle of a record of one step, whose states are made by some instructions; all else is right."""
    fields = b"".join(
        b"\x8c" + bytes([len(name)]) + name.encode() + array(b"C\x01\0", "u1", b"K\x01\x85")
        for name in ("actions", "rewards", "dones")
    )
    return b"\x80" + bytes([proto]) + b"}(\x8c\x06states" + states + fields + b"u."


def array(content, code, shape):
    """Instructions that make an array."""
    return named("numpy._core.numeric", "_frombuffer") + b"(" + content + dtype(code) + shape + b"\x8c\x01CtR"


def doubled(start, times, make=b"\x86"):
    """What holds itself twice, and so on: 2 to the number of `times` parts."""
    return start + b"\x94" + b"".join(b"h" + bytes([k]) + make + b"\x94" for k in range(times))


def dtype(code):
    return named("numpy", "dtype") + b"\x8c" + bytes([len(code)]) + code.encode() + b"\x89\x88\x87R"


def plain(value):
    """Instructions that push a plain value."""
    return pickle.dumps(value, 2)[2:-1]


def from_buffer(content, code, shape):
    """A pickle of a record whose states are an array."""
    return record(array(content, code, shape))


TRICKS = {
    "os.system": pickle.dumps(Runs(os.system, "touch evil")),
    "eval": pickle.dumps(Runs(eval, "open('evil', 'w')")),
    "exec": pickle.dumps(Runs(exec, "open('evil', 'w')")),
    "open": pickle.dumps(Runs(open, "evil", "w")),
    "import": pickle.dumps(Runs(__import__, "antigravity")),
    "getattr": pickle.dumps(Runs(getattr, "", "join")),
    "numpy.load": pickle.dumps(Runs(np.load, "evil")),
    "torch.load": pickle.dumps(Runs(torch.load, "evil")),
    "pickle.loads": pickle.dumps(Runs(pickle.loads, pickle.dumps(Runs(os.system, "touch evil")))),
    "bytearray": pickle.dumps(Runs(bytearray, 10**10)),
    "old global": b"cos\nsystem\n(S'touch evil'\ntR.",
    "instance": b"(S'touch evil'\nios\nsystem\n.",
    "object": b"(cos\nsystem\nS'touch evil'\no.",
    "extension": b"\x82\x01.",
    "persistent": b"Pid\n.",
    "persistent id": b"K\x01Q.",
    "new with keywords": b"\x80\x04" + named("ilpyt.runners.runner", "Experiences") + b")}\x92.",
    "a class of a class": b"\x80\x04" + named("builtins", "type") + b"\x8c\x01x)}\x87R.",
    "a function's code": b"\x80\x04" + named("torch._utils", "_rebuild_tensor_v2") + b"}\x8c\x08__code__Nsb.",
    "a module's name": b"\x80\x04" + named("ilpyt.utils.demos", "os.system") + b"\x8c\x0atouch evil\x85R.",
    "another's dict": record(named("ilpyt.runners.runner", "Experiences") + b")\x81}\x8c\x09__class__Nsb"),
    "stack underflow": b"\x80\x04\x86.",
    "mark underflow": b"\x80\x04u.",
    "a frame of 2**60 bytes": b"\x80\x04\x95" + struct.pack("<Q", 2**60) + b"N.",
    "bytes of 2**40": b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b"abc.",
    "a bytearray of 2**40": b"\x80\x05\x96" + struct.pack("<Q", 2**40) + b"abc.",
    "a bytearray of 10 GB": b"\x80\x05\x96" + struct.pack("<Q", 10**10) + b"abc.",
    "text of 2**40": b"\x80\x04\x8d" + struct.pack("<Q", 2**40) + b"abc.",
    "a memo of 2**32": b"\x80\x04Nr\xff\xff\xff\xff.",
    "a memo of 2**30": record(b"Nr" + struct.pack("<I", 2**30)),
    "a number of a million digits": b"I" + b"9" * 1_000_000 + b"\n.",
    "a long number": b"\x80\x02\x8b" + struct.pack("<i", 10**6) + b"\x7f" * 10**6 + b".",
    "ten million instructions": b"\x80\x04" + b"N0" * 5_000_000 + b"N.",
    "a million nested tuples": record(b"N" + b"\x85" * 999_000),
    "a million nested lists": record(b"]" * 300_000 + b"a" * 299_999),
    "a key that hashes for ever": record(b"}" + doubled(b")", 60) + b"Ns"),
    "an attribute that prints for ever": record(
        named("ilpyt.runners.runner", "Experiences") + b")\x81}" + doubled(b")", 60) + b"Nsb"
    ),
    "a set": b"\x80\x04\x8f(" + doubled(b")", 60) + b"\x90.",
    "metadata without end": record(
        array(b"C\x01\0", "u1", b"K\x01\x85") + b"\x8c\x08metadata}\x8c\x01x" + doubled(b"]", 60) + b"s"
    ),
    "an array of 10 GB from a number": from_buffer(plain(10**10), "u1", b"K\x01\x85"),
    "an array larger than its bytes": from_buffer(b"C\x01a", "u1", plain(10**10) + b"\x85"),
    "a negative shape": from_buffer(b"C\x04abcd", "u1", b"J\xfe\xff\xff\xffJ\xfe\xff\xff\xff\x86"),
    "an array of objects": from_buffer(b"C\x08abcdefgh", "O8", b"K\x01\x85"),
}  # fmt: skip


def tensor(size, stride, offset=0, data=b"\0" * 4, count=1):
    """A pickle of a record whose states are a tensor in a memory of four bytes."""
    storage = pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(1001, 2) + pickle.dumps({}, 2)
    name = b"ctorch\nFloatStorage\n"
    storage += (
        b"\x80\x02(X\x07\0\0\0storage" + name + b"X\x01\0\0\x000X\x03\0\0\0cpu" + pickle.dumps(count, 2)[2:-1] + b"NtQ."
    )
    storage += pickle.dumps(["0"], 2) + struct.pack("<q", count) + data
    arguments = b"(" + named("torch.storage", "_load_from_bytes") + b"B" + struct.pack("<I", len(storage)) + storage
    arguments += b"\x85R" + b"".join(map(plain, (offset, size, stride))) + b"\x89N" + b"t"
    return record(named("torch._utils", "_rebuild_tensor_v2") + arguments + b"R")


TENSORS = {
    "a tensor of 10**12": tensor((10**12,), (0,)),
    "a tensor beyond its memory": tensor((2,), (1,)),
    "a tensor before its memory": tensor((1,), (1,), -1),
    "a tensor that goes back": tensor((1,), (-1,)),
    "a tensor of less than nothing": tensor((-1, -1), (1, 1)),
    "a memory of 10 GB": tensor((1,), (1,), count=10**10),
    "a memory of 2**62": tensor((1,), (1,), count=2**62),
}


@pytest.mark.parametrize("name", TRICKS | TENSORS)
def test_no_trick_of_pickles_works_in_demonstrations(name, env, tmp_path):
    (tmp_path / "demos.pkl").write_bytes((TRICKS | TENSORS)[name])
    assert not outcome(tmp_path / "demos.pkl", env)
    assert os.listdir(tmp_path) == ["demos.pkl"]
    with pytest.raises(DataError, match=MESSAGES.get(name, r"demos\.pkl is (refused|not a demonstration file)")):
        Experiences.load(tmp_path / "demos.pkl")


MESSAGES = {
    **dict.fromkeys(list(TENSORS)[:5], "is refused: it has a tensor larger than its memory"),
    **dict.fromkeys(list(TENSORS)[5:], "is refused: it has a tensor said to hold"),
    "ten million instructions": "more than 300,000 instructions",
    "a million nested tuples": "more than 300,000 instructions",
    "a million nested lists": "more than 300,000 instructions",
    "a key that hashes for ever": "a tuple for a key",
    "an attribute that prints for ever": "a tuple for a key",
    "a set": "the instruction EMPTY_SET",
    "metadata without end": "longer, deeper or larger",
    "an array of 10 GB from a number": "a int for the content of an array",
    "an array larger than its bytes": "cannot reshape array",
    "a negative shape": "unknown dimension",
    "an array of objects": "an array of 'O8', not of numbers",
    "os.system": r"it asks for \w+\.system",
    "instance": "the instruction",
    "object": r"it asks for os\.system",
    "another's dict": "states is a _Record, not an array",
    "extension": "the instruction EXT1",
    "persistent": "the instruction PERSID",
    "persistent id": "the instruction BINPERSID",
    "new with keywords": "the instruction NEWOBJ_EX",
    "a function's code": "it sets the state of a Function",
    "a memo of 2**30": "has no states",
}


def test_the_records_that_they_were_made_of_are_read(tmp_path):
    for content in (tensor((1, 1), (1, 1)), from_buffer(b"C\x04abcd", "u1", b"K\x01K\x04\x86")):
        (tmp_path / "demos.pkl").write_bytes(content)
        assert len(Experiences.load(tmp_path / "demos.pkl")) == 1


def archive(members, prefix="archive/"):
    """What `torch.save` writes, with other content."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as z:
        for name, content in members.items():
            z.writestr(prefix + name, content)
    return file.getvalue()


@pytest.mark.parametrize("name", TRICKS)
@pytest.mark.parametrize("kind", ["net_7.pth", "checkpoint.pt"])
def test_no_trick_of_pickles_works_in_weights(name, kind, env, tmp_path):
    content = archive({"data.pkl": TRICKS[name], "byteorder": b"little", "version": b"3\n"})
    for number, whole in enumerate((content, TRICKS[name])):
        (tmp_path / kind).write_bytes(whole)
        assert not outcome(tmp_path / kind, env), number
    assert os.listdir(tmp_path) == [kind]


def described(key, size, stride, count, storage="FloatStorage"):
    """data.pkl of a dict with one tensor."""
    out = (
        b"\x80\x02}X\x01\0\0\0wctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\n"
        + storage.encode()
        + b"\n"
    )
    out += b"X" + struct.pack("<I", len(key)) + key.encode() + b"X\x03\0\0\0cpu" + pickle.dumps(count, 2)[2:-1] + b"tQ"
    out += b"".join(map(plain, (0, size, stride)))
    return out + b"\x89ccollections\nOrderedDict\n)RtRs."


LITTLE = {"byteorder": b"little", "version": b"3\n"}
ARCHIVES = {
    "a tensor larger than its memory": {"data.pkl": described("0", (10**10,), (0,), 1), "data/0": b"\0" * 4},
    "a memory larger than its record": {"data.pkl": described("0", (1,), (1,), 10**10), "data/0": b"\0" * 4},
    "a memory that isn't there": {"data.pkl": described("../../../etc/passwd", (1,), (1,), 1)},
    "two of one name": {
        "data.pkl": described("0", (1,), (1,), 1),
        "data/0": b"\0" * 4,
        "DATA.PKL": TRICKS["os.system"],
    },
    "another type": {"data.pkl": described("0", (1,), (1,), 1, "UntypedStorage"), "data/0": b"\0" * 4},
    "nothing": {"data.pkl": pickle.dumps({}, 2)},
    "a list": {"data.pkl": pickle.dumps([], 2)},
}


@pytest.mark.parametrize("name", ARCHIVES)
def test_archives_of_weights_are_no_larger_than_they_seem(name, env, tmp_path):
    (tmp_path / "net_7.pth").write_bytes(archive(ARCHIVES[name] | LITTLE))
    assert not outcome(tmp_path / "net_7.pth", env)
    if name != "nothing":
        with pytest.raises(DataError, match=r"net_7\.pth is refused as a file of weights: it (has|holds|asks)"):
            load_state(tmp_path / "net_7.pth")


def test_an_archive_in_which_pytorch_sees_another_is_read_as_one(tmp_path):
    """Members before the directory that zipfile goes by, and a second directory that the end points at."""

    def parts(members):
        whole = archive(members | LITTLE)
        start = struct.unpack("<L", whole[-6:-2])[0]
        return whole[:start], whole[start:-22], whole[-22:]

    evil = parts({"data.pkl": described("0", (10**6,), (1,), 10**6), "data/0": bytes(4 * 10**6)})
    good = parts({"data.pkl": described("0", (1,), (1,), 1), "data/0": bytes(4)})
    end = bytearray(good[2])
    end[16:20] = struct.pack("<L", len(evil[0]))  # where PyTorch looks for the directory
    (tmp_path / "w.pth").write_bytes(evil[0] + evil[1] + good[0] + good[1] + bytes(end))
    with contextlib.suppress(DataError):
        assert load_state(tmp_path / "w.pth")["w"].numel() == 1


def test_the_archive_that_they_were_made_of_is_read(tmp_path):
    content = {"data.pkl": described("0", (2, 1), (1, 1), 2), "data/0": struct.pack("<2f", 1, 2)}
    (tmp_path / "w.pth").write_bytes(archive(content | LITTLE))
    assert load_state(tmp_path / "w.pth")["w"].tolist() == [[1], [2]]


def bomb(compression, size=2**30):
    """An archive of zeros."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as z, z.open("states.npy", "w", force_zip64=True) as member:
        member.write(header((size,), "|u1"))
        for _ in range(size // 2**20):
            member.write(bytes(2**20))
    return file.getvalue()


def npz(**members):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as z:
        for name, content in members.items():
            z.writestr(name.replace("__", "/").replace("DOT", ".."), content)
    return file.getvalue()


def header(shape, descr="<f4"):
    start = io.BytesIO()
    np.lib.format.write_array_header_1_0(start, {"descr": descr, "fortran_order": False, "shape": shape})
    return start.getvalue()


PROGRAM = b"__import__('os').system('touch evil')"


def many(count):
    """An archive of very many members without a name."""
    entry = struct.pack("<4s4B4HL2L5H2L", b"PK\x01\x02", 20, 3, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, len(entry) * count, 0, 0)
    return entry * count + end


NPZ = {
    "a gigabyte of zeros": lambda: bomb(zipfile.ZIP_DEFLATED),
    "zeros in bzip2": lambda: bomb(zipfile.ZIP_BZIP2, 2**28),
    "zeros in lzma": lambda: bomb(zipfile.ZIP_LZMA, 2**27),
    "a header that lies": lambda: npz(**{f"{n}.npy": header((10**10, 4)) + bytes(16) for n in FIELDS[:4]}),
    "a header of less than nothing": lambda: npz(**{f"{n}.npy": header((-1, -4)) + bytes(16) for n in FIELDS[:4]}),
    "a header that is a program": lambda: npz(**{"states.npy": b"\x93NUMPY\x01\0\x40\0" + PROGRAM.ljust(64)}),
    "a header without end": lambda: npz(**{"states.npy": b"\x93NUMPY\x02\0\xff\xff\xff\x7f" + b"(" * 10**6}),
    "objects": lambda: npz(**{"states.npy": header((1,), "|O") + TRICKS["os.system"]}),
    "paths": lambda: npz(**{"DOT__DOT__evil.npy": b"x", "__evil.npy": b"x"}),
    "half a million members": lambda: many(500_000),
}  # fmt: skip


@pytest.mark.parametrize("name", NPZ)
def test_archives_of_demonstrations_are_no_larger_than_they_seem(name, env, tmp_path):
    (tmp_path / "demos.npz").write_bytes(NPZ[name]())
    assert not outcome(tmp_path / "demos.npz", env)
    assert os.listdir(tmp_path) == ["demos.npz"]
    assert not (tmp_path.parent / "evil.npy").exists()


def test_demonstrations_that_deflate_well_are_read(env, tmp_path):
    zeros = np.zeros((200_000, 4), np.float32)
    dones = np.arange(200_000) % 200 == 199
    demos = Experiences(zeros, dones.astype(np.int64), zeros[:, 0], dones)
    demos.save(tmp_path / "demos.npz")
    assert (tmp_path / "demos.npz").stat().st_size < 50_000
    assert outcome(tmp_path / "demos.npz", env, zeros.nbytes * 2)


def test_a_large_honest_file_takes_twice_its_size_at_most(env, tmp_path):
    rng = np.random.default_rng(0)
    states = rng.normal(size=(10_000_000, 4)).astype(np.float32)
    dones = np.arange(len(states)) % 1000 == 999
    demos = Experiences(states, np.zeros(len(states), np.uint8), states[:, 0], dones)
    for suffix in ("pkl", "npz"):
        demos.save(tmp_path / f"demos.{suffix}")
    del demos, states, dones
    for suffix in ("pkl", "npz"):
        file = tmp_path / f"demos.{suffix}"
        with bounded(2 * 10_000_000 * (16 + 8 + 4 + 2) / 2**20 + 100, 30):
            assert len(Experiences.load(file)) == 10_000_000


INSTRUCTIONS = [instruction.code.encode("latin1") for instruction in pickletools.opcodes]
FRAGMENTS = [
    *INSTRUCTIONS,
    *[named(*key) for key in demos_module._known()],
    b"cos\nsystem\n",
    b"cnumpy\nndarray\n",
    b"C\x04abcd",
    b"B\x08\0\0\0abcdefgh",
    b"\x8c\x06states",
    b"\x8c\x02f4",
    b"\x8c\x01C",
    b"K\x01",
    b"K\x00\x85",
    b"K\x01K\x01\x86",
    b"q\x00",
    b"h\x00",
    b"h\x01",
    b"\x94",
]


@settings(max_examples=1000, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.sampled_from(FRAGMENTS), max_size=40).map(b"".join), st.binary(max_size=20))
def test_programs_of_any_instructions_are_refused_or_valid(env, tmp_path_factory, program, rest):
    folder = tmp_path_factory.getbasetemp()
    for kind, content in (
        ("hyp_demos.pkl", record(program, 5) + rest),
        ("net_7.pth", archive({"data.pkl": b"\x80\x02" + program + rest + b"."} | LITTLE)),
    ):
        (folder / kind).write_bytes(content)
        with nothing_happens():
            with contextlib.suppress(IlpytError):
                load(folder / kind, env)


# --- honest files that aren't ordinary


def test_what_a_checkpoint_cant_hold_is_refused_when_it_is_saved(tmp_path):
    save_state(
        tmp_path / "x", {"lr": np.float64(0.1), "n": np.int64(3), "is": np.bool_(True), 0: torch.ones(()).expand(5)}
    )
    assert load_state(tmp_path / "x")["lr"] == 0.1
    assert load_state(tmp_path / "x")["is"] is True
    assert load_state(tmp_path / "x")[0].tolist() == [1.0] * 5
    for value in ({(1, 2): 3}, b"bytes", {1, 2}, object(), np.zeros(3)):
        with pytest.raises(TypeError, match=r"state\.x"):
            save_state(tmp_path / "y", {"x": value})
    assert os.listdir(tmp_path) == ["x"]


def test_tensors_of_any_kind_are_what_they_were(tmp_path):
    base = torch.arange(24.0)
    tensors = {
        "view": base[3:9], "transposed": base.view(4, 6).T, "every other": base[::2], "scalar": torch.tensor(3),
        "empty": torch.empty(0, 4), "flags": base > 5, "half": base.half(), "bfloat": base.bfloat16(),
        "bytes": base.to(torch.uint8), "same": base,
    }  # fmt: skip
    save_state(tmp_path / "x", tensors)
    for name, tensor in load_state(tmp_path / "x").items():
        assert tensor.dtype == tensors[name].dtype, name
        assert torch.equal(tensor, tensors[name]), name
    torch.save(tensors, tmp_path / "torch")
    assert all(torch.equal(tensor, tensors[name]) for name, tensor in load_state(tmp_path / "torch").items())


@pytest.mark.parametrize("suffix", ["npz", "pkl"])
def test_demonstrations_that_are_written_are_read(suffix, tmp_path):
    permuted = torch.arange(2 * 3 * 4 * 5, dtype=torch.uint8).view(2, 3, 4, 5).permute(0, 2, 3, 1)
    sparse = torch.zeros(40_000, 500)
    sparse[torch.arange(40_000), torch.arange(40_000) % 500] = 1
    for states in (permuted, sparse):
        dones = np.arange(len(states)) % 2 == 1
        Experiences(states, np.zeros(len(states)), np.ones(len(states)), dones).save(tmp_path / f"demos.{suffix}")
        assert torch.equal(Experiences.load(tmp_path / f"demos.{suffix}").states, states)


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("order", [">", "<"])
def test_arrays_of_either_byte_order_and_layout_are_read(protocol, order, tmp_path):
    states = np.asfortranarray(np.arange(12.0).reshape(3, 4)).astype(order + "f8")
    fields = {"states": states, "actions": np.zeros(3, order + "i8"), "rewards": np.ones(3, order + "f4")}
    fields["dones"] = np.array([False, False, True])
    (tmp_path / "demos.pkl").write_bytes(pickle.dumps(fields, protocol=protocol))
    assert Experiences.load(tmp_path / "demos.pkl").states.tolist() == states.tolist()
    np.savez(tmp_path / "demos.npz", **fields)
    assert Experiences.load(tmp_path / "demos.npz").states.tolist() == states.tolist()


def test_descriptions_that_are_too_deep_are_refused(tmp_path):
    metadata = {}
    for _ in range(5000):
        metadata = {"x": metadata}
    with pytest.raises(DataError, match="metadata of these Experiences"):
        Experiences([[0.0]], [0], [0.0], [True], metadata=metadata).save(tmp_path / "demos.npz")
    file = tmp_path / "demos.pkl"
    file.write_bytes(pickle.dumps({"states": np.zeros((1, 1)), "actions": np.zeros(1), "rewards": np.zeros(1),
                                   "dones": np.ones(1), "metadata": {"n": 10**5000}}))  # fmt: skip
    with pytest.raises(DataError, match="longer, deeper or larger"):
        Experiences.load(file)
