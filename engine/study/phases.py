"""What some requests of a run did when: waited, had their prompt computed, were decoded, or stood still."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from aptsched.scheduling.record import Outcome, RequestRecord
from aptsched.support.checks import Floats, Ints
from engine.loop.iteration import Iteration
from engine.loop.worker import Worker

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
        request_ids = sampled(len(arrived_at_s), int(arrived_at_s.searchsorted(warmup_s)))
        self._ids, self._arrived_at_s = request_ids, arrived_at_s[request_ids]
        self._place = np.full(len(request_ids), NO_CACHE)
        self._gone = np.zeros(len(request_ids), np.bool_)
        self._changes: dict[int, list[Change]] = {number: [] for number in request_ids.tolist()}

    def add(self, iteration: Iteration, worker: Worker) -> None:
        """Take note of an iteration that the worker has just finished."""
        it = iteration
        if len(self._ids) and (it.num_prefill_tokens or it.num_preemptions or it.num_swap_outs or it.num_swap_ins):
            self._look(it.start_s, worker)

    def _look(self, start_s: float, worker: Worker) -> None:
        table, pool = worker.table, worker.pool
        numbers = table.request_id[: table.num_rows]
        row = numbers.searchsorted(self._ids)
        present = row < table.num_rows
        present[present] = numbers[row[present]] == self._ids[present]
        slot = table.slot[row[present]]
        place = np.full(len(self._ids), NO_CACHE)
        place[present] = np.where(pool.host.num_held[slot] > 0, ON_HOST, np.where(slot > 0, IN_POOL, NO_CACHE))
        gone = ~present & (self._arrived_at_s <= start_s) & ~self._gone
        place[gone] = IN_POOL  # if it has come and gone in one iteration; else nothing comes of it
        self._gone |= gone
        changed = (place != self._place) & (present | gone)
        for at in changed.nonzero()[0].tolist():
            self._changes[int(self._ids[at])].append((start_s, int(place[at])))
        self._place[changed] = place[changed]

    def phases(self, records: Sequence[RequestRecord]) -> tuple[RequestPhases, ...]:
        """The phases of those watched whose records these are among."""
        by_id = {record.request_id: record for record in records if record.request_id in self._changes}
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
    within = tokens[(tokens > start_s) & (tokens < stop_s)].tolist()
    times = [start_s, *within, stop_s]
    if before == NO_CACHE:
        yield start_s, PREFILL
        del times[0]
    for one, other in pairwise(times):
        yield one, HELD if other - one > longest_s else DECODE
