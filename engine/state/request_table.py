"""The unfinished requests in order of arrival, as arrays."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from aptsched.support.checks import Bools, Floats, Ints
from aptsched.support.flags import any_of
from engine.state.request import Request

Objects = npt.NDArray[np.object_]

FIRST_ROWS = 64  # doubled whenever they run out
FLOATS = ("arrived_at_s", "pending_since_s", "slo_ttft_s", "slo_tbt_s", "objective_s")
INTS = (
    "request_id",
    "num_prompt_tokens",
    "num_tokens",
    "end_tokens",
    "slot",
    "num_preemptions",
    "num_promotions",
    "num_swap_outs",
    "num_lost_tokens",
    "most_lost_tokens",
)
GROUPS: tuple[tuple[type[np.generic], tuple[str, ...]], ...] = (
    (np.object_, ("request", "stop_token_ids")),
    (np.bool_, ("missed_slo",)),
    (np.float64, FLOATS),
    (np.int64, INTS),
)


class RequestTable:
    """One row for each unfinished request, in order of arrival; those that end are removed, and later ones move up.

    Attributes
    ----------
    num_rows : int
        n; the columns are longer.
    request : array of Request
    stop_token_ids : array of frozenset
    request_id, num_prompt_tokens, num_tokens, missed_slo
        As in `View`, like those of `FLOATS`.
    end_tokens : int array
        Prompt and output at which the request is over.
    slot : int array
        In the block pool; 0 where nothing is cached.
    num_preemptions, num_promotions, num_swap_outs : int array
    num_lost_tokens, most_lost_tokens : int array
        Tokens cached when preempted: of all times, and of the time with most.
    """

    request: Objects
    stop_token_ids: Objects
    request_id: Ints
    arrived_at_s: Floats
    pending_since_s: Floats
    slo_ttft_s: Floats
    slo_tbt_s: Floats
    objective_s: Floats
    missed_slo: Bools
    num_prompt_tokens: Ints
    num_tokens: Ints
    end_tokens: Ints
    slot: Ints
    num_preemptions: Ints
    num_promotions: Ints
    num_swap_outs: Ints
    num_lost_tokens: Ints
    most_lost_tokens: Ints

    def __init__(self) -> None:
        self.num_rows = 0
        self._name([np.zeros((len(names), FIRST_ROWS), dtype) for dtype, names in GROUPS])

    def _name(self, groups: list[npt.NDArray[Any]]) -> None:
        """Columns of a type lie in one array, [columns, rows], and each is an attribute."""
        self._groups = groups
        for group, (_, names) in zip(groups, GROUPS, strict=True):
            for name, column in zip(names, group, strict=True):
                setattr(self, name, column)

    def add(self, request: Request, end_tokens: int, stop_token_ids: frozenset[int]) -> None:
        """A new last row."""
        row = self.num_rows
        if row == len(self.request):
            self._name([np.concatenate([group, np.zeros_like(group)], axis=1) for group in self._groups])
        for group in self._groups:
            group[:, row] = 0
        self.request[row] = request
        self.stop_token_ids[row] = stop_token_ids
        self.request_id[row] = request.request_id
        self.arrived_at_s[row] = self.pending_since_s[row] = request.arrived_at_s
        self.slo_ttft_s[row] = self.objective_s[row] = request.slo.ttft_s
        self.slo_tbt_s[row] = request.slo.tbt_s
        self.num_prompt_tokens[row], self.num_tokens[row] = request.num_prompt_tokens, request.num_tokens
        self.end_tokens[row] = end_tokens
        self.num_rows += 1

    def observed(self) -> tuple[Bools, Floats, Ints]:
        """Read-only copies: `missed_slo`, [n]; `FLOATS`, [5, n]; `request_id`, prompt and all tokens, [3, n]."""
        n = self.num_rows
        copies = self.missed_slo[:n].copy(), self._groups[2][:, :n].copy(), self._groups[3][:3, :n].copy()
        for copy in copies:
            copy.setflags(write=False)
        return copies

    @property
    def num_waiting(self) -> int:
        """Rows that have no cache, in the pool or on the host."""
        return self.num_rows - int(np.count_nonzero(self.slot[: self.num_rows]))

    def remove(self, rows: Ints) -> None:
        """Takes rows out; later ones move up."""
        if not len(rows):
            return
        n = self.num_rows
        self.num_rows = n - len(rows)
        starts = np.sort(rows).tolist()  # behind each row removed is a run that moves up
        for moved, (start, stop) in enumerate(pairwise([*starts, n])):
            for group in self._groups:
                group[:, start - moved : stop - moved - 1] = group[:, start + 1 : stop]
        self._groups[0][:, self.num_rows : n] = 0  # nothing keeps them alive

    def row_of(self, request_id: int) -> int | None:
        """The row of a request; None where it is not among the unfinished."""
        rows = (self.request_id[: self.num_rows] == request_id).nonzero()[0]
        return int(rows[0]) if len(rows) else None

    def add_tokens(self, rows: Ints, now_s: float) -> Bools:
        """Counts one more token of each row, made now. Returns which rows are over."""
        late = now_s - self.pending_since_s.take(rows) > self.objective_s.take(rows)
        if any_of(late):
            self.missed_slo[rows] |= late
        self.pending_since_s[rows] = now_s
        self.objective_s[rows] = self.slo_tbt_s.take(rows)
        num_tokens = self.num_tokens.take(rows)
        num_tokens += 1
        self.num_tokens[rows] = num_tokens
        over: Bools = num_tokens >= self.end_tokens.take(rows)
        return over

    def count_preemptions(self, rows: Ints, num_cached: Ints) -> None:
        """Counts one more preemption of each row, which loses so many tokens."""
        self.num_preemptions[rows] += 1
        self.num_lost_tokens[rows] += num_cached
        self.most_lost_tokens[rows] = np.maximum(self.most_lost_tokens[rows], num_cached)
