"""Reads files of any content within bounds: each is text, or an error says why not, without the file's path."""

from __future__ import annotations

import contextlib
import gzip
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from aptsched.support import files
from aptsched.support.errors import InputError

MAX_BYTES = 2**30  # of a document that is read whole
MAX_LINE = 2**28


def check(path: Path) -> None:
    """Raise InputError unless it is a file that can be opened."""
    with _opened(path):
        pass


def text(path: Path) -> str:
    """The text of a file, line ends as they are; raises InputError."""
    with _opened(path) as file:
        if file.seek(0, os.SEEK_END) > MAX_BYTES:
            raise InputError(f"more than {MAX_BYTES} bytes are not accepted; smaller documents are")
        file.seek(0)
        return decoded(file.read())


def lines(path: Path) -> Iterator[bytes]:
    """The lines of a file, decompressed where its name ends with .gz; raises InputError where it cannot go on."""
    with _opened(path) as file:
        while line := file.readline(MAX_LINE + 1):
            if len(line) > MAX_LINE:
                raise InputError(f"a line of more than {MAX_LINE} bytes is not accepted; shorter ones are")
            yield line


def decoded(content: bytes) -> str:
    """UTF-8 bytes as text; raises InputError."""
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise InputError(f"byte {error.start} is not UTF-8 text; UTF-8 is accepted") from error


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[IO[bytes] | gzip.GzipFile]:
    """Open a file; errors of the system and of gzip become InputError."""
    try:
        with files.reading(path) as file:
            yield gzip.GzipFile(fileobj=file) if path.suffix == ".gz" else file
    except InputError as error:
        raise InputError(str(error).removeprefix(f"{path}: ")) from error
    except (EOFError, zlib.error) as error:
        raise InputError(f"cannot be decompressed ({error}); a whole gzip file is accepted") from error
