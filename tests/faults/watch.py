"""Watching a call: what it does beside what it gives."""

import sys
import time
from contextlib import contextmanager
from pathlib import Path

_FORBIDDEN = (
    "os.", "shutil.", "subprocess.", "socket.", "ctypes.dlopen", "exec", "tempfile.", "webbrowser.", "urllib.",
    "ftplib.", "pty.", "signal.",
)  # fmt: skip
_HARMLESS = ("os.listdir", "os.scandir", "os.getxattr")
_seen: list | None = None


def _hook(event, arguments):
    if _seen is None:
        return
    if event == "open":
        path, mode, flags = arguments
        if (mode is not None and set(mode) & set("wax+")) or (mode is None and flags and flags & 0o3):
            _seen.append((event, path))
    elif event == "exec" and Path(arguments[0].co_filename).is_file():
        return  # a module is imported for the first time
    elif event.startswith(_FORBIDDEN) and event not in _HARMLESS:
        _seen.append((event, repr(arguments)[:200]))


sys.addaudithook(_hook)  # it stays for the process's life, and does nothing outside `nothing_happens`


@contextmanager
def nothing_happens():
    """Nothing is written, removed, started, connected to or executed inside."""
    global _seen
    _seen = []
    try:
        yield
    finally:
        seen, _seen = _seen, None
    assert not seen, f"it did {seen}"


def status(name):
    """A line of /proc/self/status, in MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return int(line.split()[1]) / 1024
    raise KeyError(name)


highest = {"megabytes": 0.0, "seconds": 0.0}  # of all that `bounded` has seen


@contextmanager
def bounded(megabytes, seconds=5.0):
    """Inside, memory grows by this at most, also in between, and time passes by this at most."""
    Path("/proc/self/clear_refs").write_text("5")  # forget the highest so far
    before, start = status("VmRSS"), time.perf_counter()
    yield
    took, grew = time.perf_counter() - start, status("VmHWM") - before
    highest.update(megabytes=max(highest["megabytes"], grew), seconds=max(highest["seconds"], took))
    assert grew <= megabytes, f"memory grew by {grew:.0f} MB"
    assert took <= seconds, f"it took {took:.1f} s"
