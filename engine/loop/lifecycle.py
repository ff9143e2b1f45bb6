"""The life of a request in the loop: how it enters, gets its tokens, and leaves with a record."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import compress

import numpy as np

from aptsched.scheduling.columns import COUNTS, IdentityColumns, LabelColumns, dtypes
from aptsched.scheduling.record import Outcome, RequestRecord
from aptsched.support.arrays import all_of, any_of
from aptsched.support.checks import Ints
from aptsched.support.errors import InputError
from engine.loop.limits import Limits, need
from engine.state.pool import Applied, BlockPool
from engine.state.request import Request, check_request
from engine.state.request_table import RequestTable

GIVEN = tuple(dtypes(IdentityColumns, LabelColumns))  # as the request has them
NONE_YET = dict.fromkeys(COUNTS, 0)
End = tuple[Outcome, str]  # the second is the reason


class RequestBook:
    """The unfinished requests, and the records of those that have just ended.

    Parameters
    ----------
    pool : BlockPool
        The pool that gets back the blocks of requests that end.
    limits : Limits
    eos_token_ids : iterable of int
    on_record : callable
        Called with each record once, by `hand_over`.
    observer : callable or None
        Called with each record after that.
    """

    def __init__(
        self,
        pool: BlockPool,
        limits: Limits,
        eos_token_ids: Iterable[int],
        on_record: Callable[[RequestRecord], object],
        observer: Callable[[RequestRecord], object] | None,
    ) -> None:
        self.pool, self.limits, self.on_record, self._observer = pool, limits, on_record, observer
        self.eos_token_ids = frozenset(eos_token_ids)
        self.table = RequestTable()
        self._last_arrival_s = -sys.float_info.max
        self._any_stops = False  # whether any request so far has tokens that end it
        self._ended: deque[RequestRecord] = deque()  # not yet handed over
        self.leaving: list[Ints] = []  # rows of requests that have ended, until they are removed
        self._handing_over = False

    def add(self, request: Request) -> None:
        """As `Worker.add`, but hands over no record."""
        check_request(request)
        if not self._last_arrival_s <= request.arrived_at_s < np.inf:
            raise InputError(
                f"arrived_at_s: {request.arrived_at_s} of request {request.request_id} is not accepted; "
                f"{self._last_arrival_s} or later is, in order of arrival"
            )
        if request.output_token_ids:
            given = f"{len(request.output_token_ids)} tokens of request {request.request_id}"
            raise InputError(f"output_token_ids: {given} are not accepted; requests without output are")
        if request.request_id in self.table.numbers:
            raise InputError(f"request_id: {request.request_id} is not accepted; numbers not being served are")
        refusal = self.limits.refusal(request, self.pool)
        if refusal:
            self._last_arrival_s = request.arrived_at_s
            self._ended.append(record_of(request, Outcome.REJECTED, refusal))
            return
        stop = frozenset[int]() if request.params.ignore_eos else self.eos_token_ids
        if request.params.stop_token_ids:
            stop = stop.union(request.params.stop_token_ids)
        self._any_stops |= bool(stop)
        # The last token need not be cached, so a request can have one more than the pool holds.
        end_tokens = min(self.limits.most_tokens(request), self.pool.max_request_tokens + 1)
        self.table.add(request, end_tokens, stop)
        self._last_arrival_s = request.arrived_at_s

    def add_tokens(self, applied: Applied, token_ids: list[int], now_s: float) -> tuple[Sequence[Request], list[int]]:
        """Gives the requests of a batch their next tokens, [b], and ends those that are over then.

        Returns the requests with a new token, and their tokens.
        """
        rows, requests, samples = applied.row, applied.batch.requests, applied.batch.samples
        if not all_of(samples):
            rows, sampled = rows[samples], samples.tolist()
            requests, token_ids = list(compress(requests, sampled)), list(compress(token_ids, sampled))
        over = self.table.add_tokens(rows, now_s)
        for request, token_id in zip(requests, token_ids, strict=True):
            request.output_token_ids.append(token_id)
            request.token_at_s.append(now_s)
        if self._any_stops:
            stops = self.table.stop_token_ids[rows].tolist()
            over |= np.array([token_id in stop for token_id, stop in zip(token_ids, stops, strict=True)], np.bool_)
        if any_of(over):
            self.end_over(rows[over])
        self.remove_ended()
        return requests, token_ids

    def end_over(self, rows: Ints) -> None:
        """Ends requests that are over; they keep their rows for now."""
        self.end(rows, map(self._end_of, rows.tolist()))

    def _end_of(self, row: int) -> End:
        """The outcome and the reason of a request that is over."""
        request = self.table.request[row]
        stopped = request.output_token_ids[-1] in self.table.stop_token_ids[row]
        if stopped or request.num_tokens >= self.limits.most_tokens(request):
            return Outcome.FINISHED, ""
        return Outcome.REJECTED, f"outgrew the pool: {need(request.num_tokens, self.pool)}"

    def end(self, rows: Ints, ends: Iterable[End]) -> None:
        """Makes the records of requests that end, and frees their blocks; they keep their rows for now."""
        if len(rows):
            self.table.count_recomputed(rows, self.pool.num_cached[self.table.slot[rows]])
            counts = zip(*(getattr(self.table, name)[rows].tolist() for name in COUNTS), strict=True)
            ending = zip(self.table.request[rows].tolist(), ends, counts, strict=True)
            self._ended += [record_of(request, *end, dict(zip(COUNTS, each))) for request, end, each in ending]  # noqa: B905
            self.leaving.append(rows)
            self.pool.release(rows, self.table)

    def remove_ended(self) -> None:
        """Removes the rows of requests that have ended from the table; later rows move up."""
        if self.leaving:
            rows, self.leaving = np.concatenate(self.leaving), []
            self.table.remove(rows)

    def end_one(self, request_id: int, outcome: Outcome) -> None:
        """Ends and removes a request; does nothing if there is none of that number."""
        row = self.table.row_of(request_id)
        if row is not None:
            self.end(np.array([row]), [(outcome, "")])
            self.remove_ended()

    def close(self, reason: str) -> None:
        """Ends and removes all requests as unfinished."""
        rows = np.arange(self.table.num_rows)
        self.end(rows, [(Outcome.UNFINISHED, reason)] * len(rows))
        self.remove_ended()

    def give_up(self, request: Request, reason: str) -> None:
        """Ends a request that was never added as unfinished."""
        self._ended.append(record_of(request, Outcome.UNFINISHED, reason))

    def hand_over(self) -> None:
        """Gives the records of ended requests to their receiver, also of requests that end meanwhile.

        Called from within the receiver it does nothing: the outer call hands over those records too.
        """
        if self._handing_over or not self._ended:
            return
        self._handing_over = True
        try:
            while self._ended:
                self.on_record(record := self._ended.popleft())
                if self._observer is not None:
                    self._observer(record)
        finally:
            self._handing_over = False


def record_of(request: Request, outcome: Outcome, reason: str, counts: Mapping[str, int] = NONE_YET) -> RequestRecord:
    """The record of a request that ends, with its counts."""
    given, token_at_s = {name: getattr(request, name) for name in GIVEN}, np.array(request.token_at_s)
    return RequestRecord(**given, **counts, slo=request.slo, token_at_s=token_at_s, outcome=outcome, reason=reason)
