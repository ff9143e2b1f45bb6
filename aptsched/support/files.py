"""Files that are either whole or not there: written beside and renamed, so a break leaves no half of one."""

from __future__ import annotations

import contextlib
import errno
import gzip
import hashlib
import io
import os
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any, TypeVar

from aptsched.support.beside import beside, remove_stale
from aptsched.support.errors import InputError

Result = TypeVar("Result", int, bytes)


def write(path: str | os.PathLike[str], content: str | bytes | Iterable[str]) -> None:
    """Write the whole file or nothing; text, as a whole or in parts, is UTF-8 with the line ends given.

    A link is followed, an existing file keeps its mode, and a pipe or a device is written to directly.

    Raises
    ------
    InputError
        The path cannot be written, and why.
    """
    given = Path(path)
    texts = [content] if isinstance(content, str) else content
    data = [texts] if isinstance(texts, bytes) else (text.encode() for text in texts)
    with _named(given):
        if given.is_dir():
            raise IsADirectoryError(0, "it is a directory")
        if given.exists() and not given.is_file():
            _write_into(given, data)
        else:
            _replace(Path(os.path.realpath(given)), data)


def _write_into(device: Path, data: Iterable[bytes]) -> None:
    """Write to a pipe or a device; a pipe that nobody reads is an error at once."""
    descriptor = os.open(device, os.O_WRONLY | getattr(os, "O_NONBLOCK", 0))
    os.set_blocking(descriptor, True)
    with os.fdopen(descriptor, "wb") as file:
        file.writelines(data)


def _replace(target: Path, data: Iterable[bytes]) -> None:
    with beside(target) as path:
        with path.open("wb") as file:
            file.writelines(data)
        if target.exists():
            path.chmod(stat.S_IMODE(target.stat().st_mode))
        path.replace(target)


def copy(source: str | os.PathLike[str], path: str | os.PathLike[str]) -> None:
    """Copy the whole file or nothing, whatever its size; raises InputError as `write`."""
    target = Path(path)
    with beside(target) as path_beside, _named(target):
        shutil.copyfile(source, path_beside)
        path_beside.replace(target)


@contextlib.contextmanager
def growing(path: str | os.PathLike[str]) -> Iterator[Callable[[str], None]]:
    """A text file written bit by bit, for what is too much to hold: yields a function that appends to it.

    It grows beside its place and gets its name at the end. Where an error ends it, or nothing was
    written, it is gone. One whose name ends in .gz is compressed as it grows, to the same bytes for the same text.

    Raises
    ------
    InputError
        The path cannot be written, and why.
    """
    given, written = Path(path), False
    with beside(given) as path_beside:
        with _named(given):
            raw = path_beside.open("wb")
            compressed = given.suffix == ".gz"
            file: IO[bytes] | gzip.GzipFile = gzip.GzipFile("", "wb", fileobj=raw, mtime=0) if compressed else raw

        def append(text: str) -> None:
            nonlocal written
            with _named(given):
                file.write(text.encode())
                written = True

        try:
            yield append
            with _named(given):
                file.close()
                raw.close()
                if written:
                    path_beside.replace(given)
        finally:
            for each in (file, raw):
                with contextlib.suppress(OSError):
                    each.close()


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be written ({_reason(error)}); a path to a new file is accepted") from error


def _reason(error: OSError | ValueError) -> str:
    """The reason that the system gives; a ValueError is about a name that no file system accepts."""
    return str(error.strerror if isinstance(error, OSError) else error)


def make_directory(path: str | os.PathLike[str]) -> Path:
    """Make a directory and its parents where missing, check that it is writable, and clear what killed processes left.

    The path returned is absolute, so it stays right when the user's own code changes the working directory.

    Raises
    ------
    InputError
        It cannot be made or written to, and why.
    """
    if not os.fspath(path):
        raise InputError("out: an empty path is not accepted; a directory to write to is")
    directory = Path(path)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with beside(directory / "probe") as probe:
            probe.touch()
    except (OSError, ValueError) as error:
        raise InputError(f"{directory}: not a directory to write to ({_reason(error)}); a writable one is") from error
    remove_stale(directory)
    return directory.absolute()


@contextlib.contextmanager
def reading(path: str | os.PathLike[str]) -> Iterator[io.BufferedReader[Any]]:
    """Open a regular file to read its bytes; no user's file is read otherwise, for a pipe or a device may never end.

    Raises
    ------
    InputError
        It is no regular file, or cannot be opened or, within the `with`, read.
    """
    try:
        with io.BufferedReader(_Ready(_descriptor(path))) as file:
            yield file
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({_reason(error)}); a readable file is accepted") from error
    except MemoryError as error:
        raise InputError(f"{path}: larger than the memory; a smaller file is accepted") from error


class _Ready(io.FileIO):
    """A file that raises an error where a read would have to wait (/proc/kmsg); Python itself returns None there."""

    def readinto(self, buffer: Any) -> int:
        count: int | None = super().readinto(buffer)
        return _at_once(count)

    def readall(self) -> bytes:
        content: bytes | None = super().readall()
        return _at_once(content)


def _at_once(result: Result | None) -> Result:
    if result is None:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    return result


def _descriptor(path: str | os.PathLike[str]) -> int:
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)  # a pipe would wait for a writer
    try:
        descriptor = os.open(path, flags)
    except ValueError as error:  # a character that no file system has in a name
        raise InputError(f"{path}: cannot be read ({_reason(error)}); a readable file is accepted") from error
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return descriptor
    os.close(descriptor)
    kind = "directory" if stat.S_ISDIR(mode) else "pipe or a device"
    raise InputError(f"{path}: a {kind} is not accepted; a readable file is")


def read_text(path: str | os.PathLike[str]) -> str:
    """The text of a UTF-8 file, without a byte order mark.

    Raises
    ------
    InputError
        It is no regular file, cannot be read, or is not text.
    """
    try:
        with reading(path) as file:
            return io.TextIOWrapper(file, encoding="utf-8-sig").read()
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: byte {error.start} is not UTF-8 text; a UTF-8 file is accepted") from error


def sha256(path: str | os.PathLike[str]) -> str:
    """The digest of a file's bytes, in hexadecimal; raises as `reading`."""
    with reading(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
