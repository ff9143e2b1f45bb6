"""The unfinished requests in order of arrival, as arrays."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from aptsched.scheduling.columns import InternalColumns, ObservedColumns, dtypes
from aptsched.support.arrays import any_of
from aptsched.support.checks import Bools, Floats, Ints
from engine.state.request import Request

FIRST_ROWS = 64  # doubled whenever they run out
MANY = 1000  # rows that are moved in the time in which all columns are stored anew by name
SEEN = dtypes(ObservedColumns)
COLUMNS = SEEN | dtypes(InternalColumns)  # by name; those that policies see come first
TYPES = {dtype: [name for name, its in COLUMNS.items() if its is dtype] for dtype in COLUMNS.values()}


class RequestTable(ObservedColumns, InternalColumns):
    """One row for each unfinished request, in order of arrival; rows of ended requests go, and later ones move up.

    Its columns are those of `aptsched/scheduling/columns.py`, as arrays that may be longer than `num_rows`.

    Attributes
    ----------
    num_rows : int
    numbers : set of int
        The `request_id` of each row.
    """

    def __init__(self) -> None:
        self.num_rows, self.numbers = 0, set[int]()
        self._hold([np.zeros((len(names), FIRST_ROWS), dtype) for dtype, names in TYPES.items()])

    def _hold(self, groups: list[npt.NDArray[Any]], first: int = 0) -> None:
        """Stores the columns of each type as one array, [columns, rows], and each column from `first` on by name."""
        self._groups, self._first = groups, first
        for group, names in zip(groups, TYPES.values(), strict=True):
            self.__dict__.update(zip(names, group[:, first:], strict=True))

    def add(self, request: Request, end_tokens: int, stop_token_ids: frozenset[int]) -> None:
        """Adds a last row for the request."""
        row = self.num_rows
        if row == len(self.request):
            held = [group[:, self._first :] for group in self._groups]
            self._hold([np.concatenate([group, np.zeros_like(group)], axis=1) for group in held])
        self.request[row] = request
        self.stop_token_ids[row] = stop_token_ids
        self.request_id[row] = request.request_id
        self.numbers.add(request.request_id)
        self.arrived_at_s[row] = self.pending_since_s[row] = request.arrived_at_s
        self.slo_ttft_s[row] = self.objective_s[row] = request.slo.ttft_s
        self.slo_tpot_s[row] = request.slo.tpot_s
        self.tenant[row], self.priority[row] = request.tenant, request.priority
        self.num_prompt_tokens[row], self.num_tokens[row] = request.num_prompt_tokens, request.num_tokens
        self.end_tokens[row], self.cap_tokens[row] = end_tokens, max(end_tokens, request.cap_tokens)
        self.num_rows += 1

    def copied(self) -> RequestTable:
        """The same rows in a table of their own."""
        found = RequestTable()
        found._hold([group[:, self._first :].copy() for group in self._groups])
        found.num_rows, found.numbers = self.num_rows, self.numbers.copy()
        return found

    @property
    def num_waiting(self) -> int:
        """Rows that have no cache, in the pool or on the host."""
        return self.num_rows - int(np.count_nonzero(self.slot[: self.num_rows]))

    def remove(self, rows: Ints) -> None:
        """Takes rows out: those behind them move up or, where these are many more, those before them down."""
        if not len(rows):
            return
        self.numbers.difference_update(self.request_id[rows].tolist())
        n, count, starts = self.num_rows, len(rows), np.sort(rows).tolist()
        down = n - starts[-1] > starts[-1] + MANY
        ends = [*reversed(starts), -1] if down else [*starts, n]
        by = enumerate(map(sorted, pairwise(ends)), start=1)
        moves = [(start + 1, stop, moved if down else -moved) for moved, (start, stop) in by]
        for group in self._groups:
            held = group[:, self._first :]
            for start, stop, moved in moves:
                held[:, start + moved : stop + moved] = held[:, start:stop]
            held[:, slice(0, count) if down else slice(n - count, n)] = 0  # as new rows begin; and none is kept alive
        self.num_rows = n - count
        if down:
            self._hold(self._groups, self._first + count)

    def row_of(self, request_id: int) -> int | None:
        """The row of a request; None where it is not among the unfinished."""
        rows = (self.request_id[: self.num_rows] == request_id).nonzero()[0]
        return int(rows[0]) if len(rows) else None

    def add_tokens(self, rows: Ints, now_s: float | Floats) -> Bools:
        """Counts one more token for each row, at this time, or at one of each, [n]. Returns which rows are over."""
        if any_of(late := now_s - self.pending_since_s[rows] > self.objective_s[rows]):
            self.missed_slo[rows] |= late
        self.pending_since_s[rows] = now_s
        self.objective_s[rows] = self.slo_tpot_s[rows]
        num_tokens = self.num_tokens[rows]
        num_tokens += 1
        self.num_tokens[rows] = num_tokens
        over: Bools = num_tokens >= self.end_tokens[rows]
        return over

    def count_preemptions(self, rows: Ints, num_cached: Ints) -> None:
        """Counts a preemption of each row, whose cache of so many tokens is about to be thrown away."""
        self.num_preemptions[rows] += 1
        self.count_recomputed(rows, num_cached)
        self.most_lost_tokens[rows] = np.maximum(self.most_lost_tokens[rows], num_cached)

    def count_recomputed(self, rows: Ints, num_cached: Ints) -> None:
        """Counts the cached tokens that had been cached before a preemption; called once, when the cache goes."""
        self.num_recomputed_tokens[rows] += np.minimum(self.most_lost_tokens[rows], num_cached)
