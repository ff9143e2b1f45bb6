"""What some requests of a run did when: waited, had their prompt computed, were decoded, or stood still."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from aptsched.scheduling.record import Outcome, RequestRecord
from aptsched.support.arrays import any_of
from aptsched.support.checks import Floats, Ints
from engine.loop.iteration import Iteration
from engine.loop.worker import Worker
from engine.simulator.stretch import Stretch

MAX_REQUESTS = 100
MAX_STILL = 256  # parts of a request's time: a shorter one without a token is not told apart from decoding
WAITING, PREFILL, DECODE, HELD, SWAPPED = "waiting", "prefill", "decode", "held", "swapped"
NO_CACHE, IN_POOL, ON_HOST = range(3)
Change = tuple[float, int]  # when, and where its cache is from then on


@dataclass(frozen=True)
class RequestPhases:
    """The phases of a request, one after the other, from its arrival on.

    Attributes
    ----------
    request_id : int
    start_s : tuple of float
        When each begins, on the clock of the run; each ends as the next one begins.
    phase : tuple of str
        "waiting" without a cache, "prefill" until the next token, "decode", "held" in the pool without a token for
        longer than its TPOT allows, or "swapped" out to the host.
    end_s : float
        When the last one ends: its last token, or the last that is known of a request that never finished.
    """

    request_id: int
    start_s: tuple[float, ...]
    phase: tuple[str, ...]
    end_s: float


def sampled(num_requests: int, first: int) -> Ints:
    """Numbers of at most `MAX_REQUESTS` requests, evenly spread from the first that counts to the last."""
    count = min(num_requests - first, MAX_REQUESTS)
    return first + np.arange(count) * (num_requests - first) // max(count, 1)


class PhaseMeter:
    """Notes where the caches of some requests are; it looks only after iterations in which caches come or go.

    Parameters
    ----------
    arrived_at_s : float array, [r]
        Of all requests, which have to be numbered in the order of their arrival.
    warmup_s : float
        Requests that arrive earlier are not watched.
    """

    def __init__(self, arrived_at_s: Floats, warmup_s: float = 0.0) -> None:
        self._ids = sampled(len(arrived_at_s), int(arrived_at_s.searchsorted(warmup_s)))
        self._arrived_at_s = arrived_at_s[self._ids]
        self._place, self._first = np.full(len(self._ids), NO_CACHE), 0  # all before the first have ended
        self._is_any_without, self._next_s = False, -math.inf  # in the pool, of those looked at; the next one's arrival
        self._changes: dict[int, list[Change]] = {number: [] for number in self._ids.tolist()}
        self._records = dict[int, RequestRecord]()  # of those that have ended

    def add(self, iteration: Iteration, worker: Worker) -> None:
        """Take note of an iteration that the worker has just finished."""
        it = iteration
        can_come = it.num_prefill_tokens or it.num_swap_ins
        if (
            (can_come and (self._is_any_without or it.start_s >= self._next_s))
            or it.num_preemptions
            or it.num_swap_outs
        ):
            stop = int(self._arrived_at_s.searchsorted(it.start_s, side="right"))
            self._next_s = float(self._arrived_at_s[stop]) if stop < len(self._ids) else math.inf
            if self._first < stop:
                self._look(it.start_s, worker, slice(self._first, stop))

    def add_stretch(self, stretch: Stretch, worker: Worker) -> None:
        """Take note of iterations that the worker has just finished: those after the first say what comes and goes."""
        moves = stretch.moves
        if not len(moves.at_s):
            self.add(stretch.first, worker)
            return
        watched = np.isin(moves.request_id, self._ids)
        for at_s, number, comes in zip(*(each[watched].tolist() for each in moves), strict=True):
            place = IN_POOL if comes else NO_CACHE
            self._changes[number].append((at_s, place))
            self._place[self._ids.searchsorted(number)] = place
            self._is_any_without = True  # perhaps

    def _look(self, start_s: float, worker: Worker, arrived: slice) -> None:
        table, ids, before = worker.table, self._ids[arrived], self._place[arrived]
        row = table.request_id[: table.num_rows].searchsorted(ids)
        present = (row < table.num_rows) & (table.request_id.take(row, mode="clip") == ids)
        slot = table.slot.take(row, mode="clip") * present
        place = np.where(worker.pool.host.num_held[slot] > 0, ON_HOST, slot > 0)
        place[~present] = IN_POOL  # it has ended: where it had none before, its cache came and went in one iteration
        for at in (place != before).nonzero()[0].tolist():
            self._changes[int(ids[at])].append((start_s, int(place[at])))
        self._place[arrived] = place
        self._is_any_without = any_of(place != IN_POOL)
        if not present[0]:
            self._first += int(present.argmax()) or 1

    def keep(self, record: RequestRecord) -> None:
        """Keep the record of a request that has ended, if it is watched."""
        if record.request_id in self._changes:
            self._records[record.request_id] = record

    def phases(self) -> tuple[RequestPhases, ...]:
        """The phases of those watched that have ended."""
        by_id = self._records
        found = (phases_of(by_id[number], changes) for number, changes in self._changes.items() if number in by_id)
        return tuple(each for each in found if each is not None)


def phases_of(record: RequestRecord, changes: Sequence[Change]) -> RequestPhases | None:
    """The phases of a request by its tokens and by when its cache came and went; None if nothing came of it."""
    tokens = record.token_at_s
    last_s = float(tokens[-1]) if len(tokens) else record.arrived_at_s
    known = [change for change in changes if change[0] < last_s or record.outcome is not Outcome.FINISHED]
    end_s = max(last_s, *(at for at, _ in known), record.arrived_at_s)
    if end_s <= record.arrived_at_s:
        return None
    longest = max(float(record.slo.tpot_s), (end_s - record.arrived_at_s) / MAX_STILL)
    stays = [(record.arrived_at_s, NO_CACHE), *known, (end_s, NO_CACHE)]
    parts, before = list[tuple[float, str]](), NO_CACHE
    for (start_s, place), (stop_s, _) in pairwise(stays):
        parts += _of_stay(start_s, stop_s, place, before, tokens, longest)
        before = place
    joined = [part for at, part in enumerate(parts) if not at or parts[at - 1][1] != part[1]]
    starts, names = zip(*joined, strict=True)
    return RequestPhases(record.request_id, starts, names, end_s)


def _of_stay(
    start_s: float, stop_s: float, place: int, before: int, tokens: Floats, longest_s: float
) -> Iterator[tuple[float, str]]:
    """The phases, by when they begin, of a time in which the cache is in one place."""
    if stop_s <= start_s:
        return
    if place != IN_POOL:
        yield start_s, WAITING if place == NO_CACHE else SWAPPED
        return
    times = np.concatenate([[start_s], tokens[(tokens > start_s) & (tokens < stop_s)], [stop_s]])
    if before == NO_CACHE:
        yield start_s, PREFILL
        times = times[1:]
    is_held = np.diff(times) > longest_s
    begins = np.flatnonzero(np.diff(is_held, prepend=~is_held[:1]))
    for at in begins.tolist():
        yield float(times[at]), HELD if is_held[at] else DECODE
