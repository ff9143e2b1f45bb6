"""Files that are either whole or not there: written beside and renamed, so a break leaves no half of one."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from aptsched.errors import InputError


def write(path: str | os.PathLike[str], content: str | bytes) -> None:
    """Write the whole file or nothing; text is UTF-8 with the line ends given.

    Raises
    ------
    InputError
        The path cannot be written, and why.
    """
    target = Path(path)
    beside = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        if target.is_dir():
            raise IsADirectoryError(0, "it is a directory")
        beside.write_bytes(content.encode() if isinstance(content, str) else content)
        beside.replace(target)
    except OSError as error:
        raise InputError(f"{target}: cannot be written ({error.strerror}); a path to a new file is accepted") from error
    finally:
        with contextlib.suppress(OSError):
            beside.unlink()


def make_directory(path: str | os.PathLike[str]) -> Path:
    """The directory, made with its parents where missing, and seen to be writable.

    Raises
    ------
    InputError
        It cannot be made or written to, and why.
    """
    directory = Path(path)
    probe = directory / f".{os.getpid()}.tmp"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise InputError(f"{directory}: not a directory to write to ({error.strerror}); a writable one is") from error
    return directory


def read_text(path: str | os.PathLike[str]) -> str:
    """The text of a UTF-8 file.

    Raises
    ------
    InputError
        It cannot be read, or is not text.
    """
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); a readable file is accepted") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: byte {error.start} is not UTF-8 text; a UTF-8 file is accepted") from error
