"""What iterations in order of arrival came to, until requests, table and pool are brought to their end."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from itertools import chain
from operator import attrgetter

import numpy as np

from aptsched.scheduling.forms import KV, NUM_FORMS
from aptsched.support.arrays import any_of
from aptsched.support.checks import Floats, Ints
from aptsched.support.constant import constant
from engine.loop.iteration import Iteration
from engine.loop.worker import Worker
from engine.simulator.computed_executor import TOKEN_ID
from engine.simulator.stretch import Fed, Moves, Stretch
from engine.state.request import Request


@dataclass(eq=False, slots=True)
class Running:
    """A request that runs.

    Attributes
    ----------
    row : int
        Of the table.
    num_tokens : int
        That have to be cached before it decodes.
    num_cached : int
        Tokens cached when it began to decode; before that, now.
    beat, end_beat : int
        Of those that decode, beats that were over when it began to, and will be when it ends; 0 before.
    stop : int
        The beats that were over after its last one, where that is known.
    first : int
        The iteration in which its prompt was fed to the end, and it got a token; -1 where that is longer ago.
    """

    row: int
    num_tokens: int
    num_cached: int = 0
    beat: int = 0
    end_beat: int = 0
    stop: int = 0
    first: int = -1

    def cached_at(self, beat: int) -> int:
        """Tokens cached after so many beats, of one that decodes."""
        return self.num_cached + beat - self.beat


of_stint = attrgetter("row", "beat", "first", "stop")


class Ledger:
    """Iterations in a row, and whose tokens they were.

    Attributes
    ----------
    end_s, beat_s : list of float
        When each iteration ended, and each beat.
    ended : list of Running
        Who is over, in order.
    stints : list of Running
        Who decoded, and was preempted, in order.
    """

    def __init__(self, worker: Worker, start_s: float) -> None:
        self.worker, self.table, self.pool, self.start_s = worker, worker.table, worker.pool, start_s
        self.end_s, self.beat_s = list[float](), list[float]()
        self.ended, self.stints = list[Running](), list[Running]()
        self._fed, self._free = dict[int, Fed](), list[int]()
        # several numbers of each, one after the other: numbers in lists of their own are more to look at for Python
        self._alike = list[int]()  # of iterations that are alike: as in `add`, and how many they are
        self._moves = list[int]()  # the iteration, the row, and whether the cache comes
        self._preempted = list[int]()  # the row, and how many cached tokens it lost
        self._num_preempted = 0  # before the last iteration that was told of

    def add(
        self,
        end_s: list[float],
        free: list[int],
        num_seqs: int,
        num_waiting: int,
        num_unfinished: int,
        beats: bool = True,
    ) -> None:
        """Adds iterations that are alike, and the blocks that are free in each; whether they are beats."""
        self.end_s += end_s
        self._free += free
        if beats:
            self.beat_s += end_s
        self._alike += num_seqs, num_waiting, num_unfinished, len(end_s)

    def feed(self, num_prefill_tokens: int, num_decode_tokens: int) -> None:
        """The next iteration feeds so many tokens."""
        before, self._num_preempted = self._num_preempted, len(self._preempted) // 2
        num_preemptions = self._num_preempted - before
        self._fed[len(self.end_s)] = Fed(num_prefill_tokens, num_decode_tokens, num_preemptions)

    def admit(self, running: Running) -> None:
        """A request gets a cache in the next iteration."""
        self._moves += len(self.end_s), running.row, True

    def preempt(self, running: Running, num_cached: int) -> None:
        """A request loses its cache, of so many tokens, in the next iteration."""
        self._moves += len(self.end_s), running.row, False
        self._preempted += running.row, num_cached

    def settle(self, decoding: list[Running], begun: Running | None, beat: int) -> Stretch:
        """Brings all to the end of the last iteration, after so many beats, and returns what they were.

        Requests that are over have ended; they keep their rows for now.
        """
        for each in (*self.ended, *decoding):
            each.stop = min(beat, each.end_beat)
        self._give_tokens(self.stints + self.ended + decoding)
        self._note_times(self.stints + decoding)
        self._count_preemptions()
        if self.ended:
            self._end([each.row for each in self.ended], [each.cached_at(each.end_beat) for each in self.ended])
        num_cached = {each.row: each.cached_at(beat) for each in decoding}
        if begun is not None:
            num_cached[begun.row] = begun.num_cached
        self._hold(num_cached)
        self.worker.num_iterations += len(self.end_s) - 1  # the last one is counted when it is over
        return self._stretch(self.worker.num_iterations + 1 - len(self.end_s))

    def _give_tokens(self, stints: list[Running]) -> None:
        """Gives each request the token after its prompt, and those of its beats up to one."""
        beat_s = array("d", self.beat_s)
        for running in stints:
            request: Request = self.table.request[running.row]
            if running.first >= 0:
                request.token_at_s.append(self.end_s[running.first])
            request.token_at_s.extend(beat_s[running.beat : running.stop])
            request.output_token_ids += [TOKEN_ID] * (running.stop - running.beat + (running.first >= 0))

    def _note_times(self, stints: list[Running]) -> None:
        """Notes in the table how many tokens these got, when the last came, and whether any was late."""
        rows, beat, first, stop = _columns(list(chain.from_iterable(map(of_stint, stints))), 4)
        came = np.flatnonzero((first >= 0) | (beat < stop))
        if not len(came):
            return
        came = came[rows[came].argsort(kind="stable")]  # those of a request stay in order
        table, beat_s, end_s = self.table, np.array([*self.beat_s, np.nan]), np.array(self.end_s)
        rows, beat, first, stop = rows[came], beat[came], first[came], stop[came]
        first_s, then = np.where(first < 0, beat_s[beat], end_s[first]), beat + (first < 0)  # the beat of the second
        last_s, longest_s, more = first_s.copy(), _longest_gaps(beat_s[:-1], then, stop), then < stop
        last_s[more] = beat_s[stop[more] - 1]
        longest_s[more] = np.maximum(longest_s[more], beat_s[then[more]] - first_s[more])
        before_s, objective_s, tpot_s = table.pending_since_s[rows], table.objective_s[rows], table.slo_tpot_s[rows]
        again = np.flatnonzero(rows[1:] == rows[:-1]) + 1
        before_s[again], objective_s[again] = last_s[again - 1], tpot_s[again]
        table.missed_slo[rows[(first_s - before_s > objective_s) | (longest_s > tpot_s)]] = True
        table.pending_since_s[rows], table.objective_s[rows] = last_s, tpot_s
        np.add.at(table.num_tokens, rows, 1 + stop - then)

    def _count_preemptions(self) -> None:
        """Counts them in the table, the first of each request, then the second ones, and so on; frees their blocks."""
        rows, num_cached = _columns(self._preempted, 2)
        while len(rows):
            once = np.unique(rows, return_index=True)[1]
            self.table.count_preemptions(rows[once], num_cached[once])
            self.pool.release(rows[once], self.table)
            rows, num_cached = np.delete(rows, once), np.delete(num_cached, once)

    def _end(self, rows: list[int], num_cached: list[int]) -> None:
        """Ends requests that are over, with so many tokens cached each."""
        over = np.array(rows)
        self.table.count_recomputed(over, np.array(num_cached))
        self.pool.release(over, self.table)
        self.worker.book.end_over(over)

    def _hold(self, num_cached: dict[int, int]) -> None:
        """Gives the requests that run, by row, the blocks of so many tokens."""
        rows, cached = np.array([*num_cached]), np.array([*num_cached.values()])
        if len(rows):
            slot = self.pool.opened(rows, self.table.slot[rows], constant(KV, len(rows)), self.table)
            self.pool.num_cached[slot] = cached
            self.pool.device.give(slot, self.pool.cache.blocks(cached, KV) - self.pool.device.num_held[slot])

    def _stretch(self, number: int) -> Stretch:
        """The iterations, from that number on."""
        held = np.zeros((len(self.end_s), NUM_FORMS), np.int64)
        held[:, KV] = self.pool.num_blocks - np.array(self._free)
        assert self.worker.scheduling is not None, "the clock is computed"
        *alike, count = _columns(self._alike, 4)
        num_seqs, num_waiting, num_unfinished = (np.repeat(each, count) for each in alike)
        scheduling_s = self.worker.scheduling.seconds(num_unfinished)
        fed = self._fed.pop(0, Fed(0, num_seqs[0].item(), 0))
        first = Iteration(
            number=number,
            start_s=self.start_s,
            end_s=self.end_s[0],
            scheduling_s=scheduling_s[0].item(),
            num_prefill_tokens=fed.num_prefill_tokens,
            num_decode_tokens=fed.num_decode_tokens,
            num_seqs=num_seqs[0].item(),
            num_blocks_by_form=tuple(held[0].tolist()),
            num_waiting=num_waiting[0].item(),
            num_preemptions=fed.num_preemptions,
            num_promotions=0,
            num_rejections=0,
            num_swap_outs=0,
            num_swap_ins=0,
            num_swapped_blocks=0,
            problem=None,
            selection=None,
        )
        return Stretch(
            first=first,
            end_s=np.array(self.end_s),
            scheduling_s=scheduling_s,
            num_seqs=num_seqs,
            num_blocks_by_form=held,
            num_waiting=num_waiting,
            fed=self._fed,
            moves=self._all_moves(),
        )

    def _all_moves(self) -> Moves:
        place, rows, comes = _columns(self._moves, 3)
        start_s = np.array([self.start_s, *self.end_s])
        return Moves(start_s[place], self.table.request_id[rows], comes > 0)


def _columns(numbers: list[int], count: int) -> Ints:
    """Numbers, so many of each, as arrays, [count, n]."""
    return np.array(numbers, np.int64).reshape(-1, count).T


def _longest_gaps(beat_s: Floats, start: Ints, stop: Ints) -> Floats:
    """The longest gap between beats of each range, [n]; 0 where it has fewer than two."""
    longest_s, several = np.zeros(len(start)), stop - start > 1
    if any_of(several):
        gaps_s = np.append(np.diff(beat_s), 0.0)  # a range may stop at the last
        bounds = np.column_stack([start, stop - 1])[several].ravel()
        longest_s[several] = np.maximum.reduceat(gaps_s, bounds)[::2]
    return longest_s
