"""Temporary files, each beside its target and named after the process that writes it, so that none is left behind."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

NAME = re.compile(r"\..*\.(?P<here>[0-9a-f]{8})\.(?P<process>[0-9]+)\.tmp", re.DOTALL)
_written: set[Path] = set()  # temporary files that this process is writing now


@contextlib.contextmanager
def beside(target: Path) -> Iterator[Path]:
    """Yield a path in the target's directory to write to and then rename; what is still there at the end is removed."""
    path = target.with_name(f".{target.name[:80]}.{_here()}.{os.getpid()}.tmp")
    _written.add(path)
    try:
        yield path
    finally:
        _remove(path)
        _written.discard(path)


def discard() -> None:
    """Remove all temporary files of this process, where it has to end at once."""
    for path in list(_written):
        _remove(path)


def remove_stale(directory: Path) -> None:
    """Remove the temporary files that killed processes of this machine have left in the directory."""
    if os.name != "posix":
        return
    with contextlib.suppress(OSError):
        for path in list(directory.iterdir()):
            found = NAME.fullmatch(path.name)
            if found and found["here"] == _here() and not _is_alive(int(found["process"])):
                _remove(path)


@cache
def _here() -> str:
    """Name the scope in which process numbers are unique: this machine and, on Linux, its namespace of processes."""
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
