"""Files on their way: written beside their place under a name that says whose they are, so that none is left behind."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

NAME = re.compile(r"\..*\.(?P<here>[0-9a-f]{8})\.(?P<process>[0-9]+)\.tmp", re.DOTALL)
_written: set[Path] = set()  # by this process, now


@contextlib.contextmanager
def beside(target: Path) -> Iterator[Path]:
    """A path in the same directory to write to and then to rename; what is still there at the end is removed."""
    path = target.with_name(f".{target.name[:80]}.{_here()}.{os.getpid()}.tmp")
    _written.add(path)
    try:
        yield path
    finally:
        _remove(path)
        _written.discard(path)


def discard() -> None:
    """Removes all that this process is writing, where it ends without the time to say so."""
    for path in list(_written):
        _remove(path)


def remove_stale(directory: Path) -> None:
    """Removes what processes of this machine have left there that are no more: they were killed."""
    if os.name != "posix":
        return
    with contextlib.suppress(OSError):
        for path in list(directory.iterdir()):
            found = NAME.fullmatch(path.name)
            if found and found["here"] == _here() and not _is_alive(int(found["process"])):
                _remove(path)


@cache
def _here() -> str:
    """Where numbers of processes are unique: this machine and, on Linux, this namespace."""
    import hashlib
    import platform

    namespace = ""
    with contextlib.suppress(OSError):
        namespace = str(Path("/proc/self/ns/pid").readlink())
    return hashlib.sha256(f"{platform.node()} {namespace}".encode()).hexdigest()[:8]


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()
