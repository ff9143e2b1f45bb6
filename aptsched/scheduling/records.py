"""Records of many requests, in a third of the memory that as many objects take."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar, overload

import numpy as np

from aptsched.scheduling.columns import CountColumns, IdentityColumns, LabelColumns, dtypes
from aptsched.scheduling.record import SLO, Outcome, RequestRecord
from aptsched.support.checks import Ints
from aptsched.support.quick_init import of_values

Item = TypeVar("Item")
CODES = {np.int64: "q", np.float64: "d"}
COLUMNS = {name: CODES[dtype] for name, dtype in dtypes(IdentityColumns, LabelColumns, CountColumns).items()}  # type: ignore[index]
OUTCOMES = tuple(Outcome)
MANY = 4096  # records that are objects at once


class RecordColumns:
    """Records as columns, to which further ones can be added; the times of all their tokens are one array."""

    def __init__(self) -> None:
        self._columns = {name: array(code) for name, code in COLUMNS.items()}
        self._slo, self._outcome, self._stop, self._token_at_s = array("q"), array("b"), array("q", [0]), array("d")
        self._slos, self._place = list[SLO](), dict[SLO, int]()  # few are another one than those before
        self._reasons = dict[int, str]()

    def __len__(self) -> int:
        """Number of records so far."""
        return len(self._slo)

    def add(self, record: RequestRecord) -> None:
        """Adds a record, of which a copy is kept."""
        if record.reason:
            self._reasons[len(self)] = record.reason
        for name, column in self._columns.items():
            column.append(getattr(record, name))
        self._slo.append(self._place.setdefault(record.slo, len(self._slos)))
        if len(self._place) > len(self._slos):
            self._slos.append(record.slo)
        self._outcome.append(OUTCOMES.index(record.outcome))
        self._token_at_s.frombytes(record.token_at_s.tobytes())
        self._stop.append(len(self._token_at_s))

    def made(self, rows: Ints) -> Iterator[RequestRecord]:
        """The records in these places, each made anew."""
        start = self._stop
        for row in rows.tolist():
            values: dict[str, Any] = {name: column[row] for name, column in self._columns.items()}
            values["slo"], values["outcome"] = self._slos[self._slo[row]], OUTCOMES[self._outcome[row]]
            values["token_at_s"] = np.array(self._token_at_s[start[row] : start[row + 1]])
            values["reason"] = self._reasons.get(row, "")
            yield of_values(RequestRecord, values)

    def by_number(self, since_s: float) -> Records:
        """Those of requests that arrived at that time or later, by `request_id`."""
        rows = np.flatnonzero(np.array(self._columns["arrived_at_s"]) >= since_s)
        return Records(self, rows[self.number[rows].argsort(kind="stable")])

    @property
    def number(self) -> Ints:
        """The number of each request, in the order in which they were added."""
        return np.array(self._columns["request_id"])


class Records(Sequence[RequestRecord]):
    """Some records out of columns, in an order of their own; each is made anew where it is read.

    Parameters
    ----------
    columns : RecordColumns
    rows : int array, [r]
        Their places.
    """

    def __init__(self, columns: RecordColumns, rows: Ints) -> None:
        self._of, self.rows = columns, rows

    def __len__(self) -> int:
        """Number of records, r."""
        return len(self.rows)

    @property
    def request_id(self) -> Ints:
        """The number of each request, [r]."""
        return self._of.number[self.rows]

    @overload
    def __getitem__(self, at: int) -> RequestRecord: ...

    @overload
    def __getitem__(self, at: slice) -> Records: ...

    def __getitem__(self, at: int | slice) -> RequestRecord | Records:
        """One of them, or several as `Records`."""
        if isinstance(at, slice):
            return Records(self._of, self.rows[at])
        return next(self._of.made(self.rows[[at]]))

    def __iter__(self) -> Iterator[RequestRecord]:
        """Each of them."""
        return self._of.made(self.rows)

    def __eq__(self, other: object) -> bool:
        """Whether the other one is a sequence of equal records."""
        return isinstance(other, Sequence) and len(self) == len(other) and all(map(RequestRecord.__eq__, self, other))

    __hash__ = None  # type: ignore[assignment]  # records have none


def in_parts(items: Sequence[Item]) -> Iterator[list[Item]]:
    """Records, or what is known of them in the same order, as lists of at most `MANY`; of none one that is empty."""
    for start in range(0, max(len(items), 1), MANY):
        yield list(items[start : start + MANY])
