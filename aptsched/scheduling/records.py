"""Records of many requests, as bytes that are spilled where there are very many."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from functools import lru_cache
from operator import attrgetter
from struct import Struct
from typing import Any, TypeVar, overload

import numpy as np

from aptsched.scheduling.columns import CountColumns, IdentityColumns, LabelColumns, dtypes
from aptsched.scheduling.record import SLO, Outcome, RequestRecord
from aptsched.support.checks import Ints
from aptsched.support.quick_init import of_values
from aptsched.support.spilled import MAX_HELD_BYTES, Spilled

Item = TypeVar("Item")
CODES = {np.int64: "q", np.float64: "d"}
COLUMNS = {name: CODES[dtype] for name, dtype in dtypes(IdentityColumns, LabelColumns, CountColumns).items()}  # type: ignore[index]
HEAD = Struct("".join(COLUMNS.values()) + "ddqq")  # then objectives, place of the outcome, tokens
IN_COLUMNS, TOKEN_BYTES = attrgetter(*COLUMNS), np.dtype(np.float64).itemsize
OUTCOMES = tuple(Outcome)
MANY = 1024  # records that are objects at once


class RecordBytes:
    """Records to which further ones can be added: all of one, tokens and reason too, is bytes in a row.

    Parameters
    ----------
    max_held : int
        Bytes of which nothing is in a file.
    """

    def __init__(self, max_held: int = MAX_HELD_BYTES) -> None:
        self._bytes = Spilled(max_held)
        self._number, self._start, self._size = array("q"), array("q"), array("I")

    def add(self, record: RequestRecord) -> None:
        """Adds a record, of which a copy is kept."""
        slo, reason = record.slo, record.reason.encode(errors="surrogatepass")
        rest = (slo.ttft_s, slo.tpot_s, OUTCOMES.index(record.outcome), len(record.token_at_s))
        content = b"".join([HEAD.pack(*IN_COLUMNS(record), *rest), record.token_at_s.tobytes(), reason])
        self._number.append(record.request_id)
        self._start.append(self._bytes.num_bytes)
        self._size.append(len(content))
        self._bytes.append(content)

    def by_number(self) -> Records:
        """All of them so far, by `request_id`."""
        order = np.asarray(self._number).argsort(kind="stable")
        return Records(self._bytes, np.asarray(self._start)[order], np.asarray(self._size)[order])


def record_of(content: bytes) -> RequestRecord:
    """The record that was made these bytes."""
    *columns, ttft_s, tpot_s, outcome, num_tokens = HEAD.unpack_from(content)
    values: dict[str, Any] = dict(zip(COLUMNS, columns, strict=True))
    values["slo"], values["outcome"] = _slo(ttft_s, tpot_s), OUTCOMES[outcome]
    values["token_at_s"] = np.frombuffer(content, np.float64, num_tokens, HEAD.size)
    values["reason"] = content[HEAD.size + TOKEN_BYTES * num_tokens :].decode(errors="surrogatepass")
    return of_values(RequestRecord, values)


_slo = lru_cache(MANY)(SLO)  # few requests have objectives that no other has


class Records(Sequence[RequestRecord]):
    """Some of such records, in an order of their own; each is made anew where it is read.

    Parameters
    ----------
    spilled : Spilled
    start, size : int array, [r]
        Where the bytes of each begin, and how many they are.
    """

    def __init__(self, spilled: Spilled, start: Ints, size: Ints) -> None:
        self._bytes, self._start, self._size = spilled, start, size

    def __len__(self) -> int:
        """Number of records, r."""
        return len(self._start)

    @overload
    def __getitem__(self, at: int) -> RequestRecord: ...

    @overload
    def __getitem__(self, at: slice) -> Records: ...

    def __getitem__(self, at: int | slice) -> RequestRecord | Records:
        """One of them, or several as `Records`."""
        if isinstance(at, slice):
            return Records(self._bytes, self._start[at], self._size[at])
        return record_of(self._bytes.read(self._start[at].item(), self._size[at].item()))

    def __iter__(self) -> Iterator[RequestRecord]:
        """Each of them."""
        for start, size in zip(map(int, self._start), map(int, self._size), strict=True):
            yield record_of(self._bytes.read(start, size))

    def __eq__(self, other: object) -> bool:
        """Whether the other one is a sequence of equal records."""
        return isinstance(other, Sequence) and len(self) == len(other) and all(map(RequestRecord.__eq__, self, other))

    __hash__ = None  # type: ignore[assignment]  # records have none


def in_parts(items: Sequence[Item], rows: Ints | None = None) -> Iterator[list[Item]]:
    """Records, or what is known of them in the same order, as lists of at most `MANY`; of none one that is empty.

    Where places of some of them are given, [n], those in these places.
    """
    for start in range(0, max(len(items if rows is None else rows), 1), MANY):
        span = slice(start, start + MANY)
        yield list(items[span]) if rows is None else [items[row] for row in rows[span].tolist()]
