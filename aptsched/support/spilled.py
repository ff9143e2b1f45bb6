"""What is too much to hold: added piece by piece, in memory up to a size, beyond it in a temporary file."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from io import FileIO
from tempfile import TemporaryFile
from typing import Any

import numpy as np

from aptsched.support.checks import Floats
from aptsched.support.errors import InputError

MAX_HELD_BYTES = 4 * 2**20  # of so many nothing is in a file; of more all but the last few are
PAGE_BYTES = 2**18  # that are written at once
PART_BYTES = 2**20  # that are read at once


class Spilled:
    """Bytes to which further ones are appended, and of which any are read again.

    Beyond a size they are in a file of the temporary folder (TMPDIR). It has no name, so that it is gone with this
    object, and with the process, however that ends. It is read, not mapped: what was read takes no memory.

    Parameters
    ----------
    max_held : int
        Bytes of which nothing is in a file.

    Attributes
    ----------
    num_bytes : int
        Those appended so far.

    Raises
    ------
    InputError
        When something is appended: the temporary folder cannot be written, and why.
    """

    def __init__(self, max_held: int = MAX_HELD_BYTES) -> None:
        self._file: FileIO | None = None
        self._max_held, self.num_bytes, self._in_file = max_held, 0, 0
        self._held = bytearray()  # those after the ones in the file

    def append(self, content: bytes) -> None:
        """Append some bytes."""
        self._held += content
        self.num_bytes += len(content)
        if len(self._held) > (self._max_held if self._file is None else PAGE_BYTES):
            try:
                self._write()
            except OSError as error:
                raise _refused(error) from error

    def _write(self) -> None:
        """Write all to the file."""
        if self._file is None:
            self._file = TemporaryFile(buffering=0)  # noqa: SIM115  # closed with this object
        self._file.seek(self._in_file)
        with memoryview(self._held) as rest:
            written = 0
            while written < len(rest):
                written += self._file.write(rest[written:])
        self._in_file, self._held = self.num_bytes, bytearray()

    def read(self, start: int, size: int) -> bytes:
        """So many bytes from one on; fewer where there are no more."""
        if self._file is None or start >= self._in_file:
            return bytes(self._held[start - self._in_file : start - self._in_file + size])
        self._file.seek(start)
        content = self._file.read(size)
        return content if len(content) == size else content + self._held[: size - len(content)]

    def parts(self) -> Iterator[bytes]:
        """All of them in order, `PART_BYTES` at a time."""
        for start in range(0, self.num_bytes, PART_BYTES):
            yield self.read(start, PART_BYTES)

    def __reduce__(self) -> tuple[Any, ...]:
        """Copied, and sent to other processes, as the bytes."""
        return _spilled, (b"".join(self.parts()), self._max_held)


def _spilled(content: bytes, max_held: int) -> Spilled:
    made = Spilled(max_held)
    made.append(content)
    return made


class SpilledFloats:
    """Numbers, to which further ones are appended, kept as `Spilled` keeps bytes."""

    def __init__(self, max_held: int = MAX_HELD_BYTES) -> None:
        self._bytes = Spilled(max_held)

    def __len__(self) -> int:
        """How many there are, n."""
        return self._bytes.num_bytes // np.dtype(np.float64).itemsize

    def append(self, values: Floats) -> None:
        """Append an array."""
        self._bytes.append(values.tobytes())

    def parts(self) -> Iterator[Floats]:
        """All of them in order, as arrays of some hundred thousand."""
        for part in self._bytes.parts():
            yield np.frombuffer(part, np.float64)

    def whole(self) -> Floats:
        """All of them, [n]."""
        values, stop = np.empty(len(self)), 0
        for part in self.parts():
            start, stop = stop, stop + len(part)
            values[start:stop] = part
        return values


def _refused(error: OSError) -> InputError:
    folder = tempfile.tempdir or "the temporary folder"
    reason = f"cannot be written ({error.strerror}); a folder with room for what a long run spills is accepted"
    return InputError(f"TMPDIR: {folder} {reason}")
