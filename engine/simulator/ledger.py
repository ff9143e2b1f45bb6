"""What iterations in order of arrival came to, until requests, table and pool are brought to their end."""

from __future__ import annotations

from array import array
from dataclasses import dataclass

import numpy as np

from aptsched.scheduling.forms import KV, NUM_FORMS
from aptsched.support.arrays import any_of
from aptsched.support.checks import Floats, Ints
from aptsched.support.constant import constant
from engine.loop.iteration import Iteration
from engine.loop.worker import Worker
from engine.simulator.computed_executor import TOKEN_ID
from engine.simulator.stretch import Fed, Move, Stretch
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
    first : int
        The iteration in which its prompt was fed to the end, and it got a token; -1 where that is longer ago.
    """

    row: int
    num_tokens: int
    num_cached: int = 0
    beat: int = 0
    end_beat: int = 0
    first: int = -1

    def cached_at(self, beat: int) -> int:
        """Tokens cached after so many beats, of one that decodes."""
        return self.num_cached + beat - self.beat


Stint = tuple[Running, int]  # who decodes, and up to which beat


class Ledger:
    """Iterations in a row, and whose tokens they were.

    Attributes
    ----------
    end_s, beat_s : list of float
        When each iteration ended, and each beat.
    ended : list of Running
        Who is over, in order.
    stints : list of Running and int
        Who decoded until that beat, and was preempted then, in order.
    """

    def __init__(self, worker: Worker, start_s: float) -> None:
        self.worker, self.table, self.pool, self.start_s = worker, worker.table, worker.pool, start_s
        self.end_s, self.beat_s, self.ended, self.stints = list[float](), list[float](), list[Running](), list[Stint]()
        self._free, self._num_seqs, self._num_waiting, self._num_unfinished = (list[int]() for _ in range(4))
        self._fed, self._moves = dict[int, Fed](), list[Move]()
        self._preempted = list[tuple[int, int]]()  # rows, and how many cached tokens each lost
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
        self._num_seqs += [num_seqs] * len(end_s)
        self._num_waiting += [num_waiting] * len(end_s)
        self._num_unfinished += [num_unfinished] * len(end_s)

    def feed(self, num_prefill_tokens: int, num_decode_tokens: int) -> None:
        """The next iteration feeds so many tokens."""
        num_preemptions = len(self._preempted) - self._num_preempted
        self._num_preempted = len(self._preempted)
        self._fed[len(self.end_s)] = Fed(num_prefill_tokens, num_decode_tokens, num_preemptions)

    def admit(self, running: Running) -> None:
        """A request gets a cache in the next iteration."""
        self._move(running.row, True)

    def preempt(self, running: Running, num_cached: int) -> None:
        """A request loses its cache, of so many tokens, in the next iteration."""
        self._move(running.row, False)
        self._preempted.append((running.row, num_cached))

    def _move(self, row: int, comes: bool) -> None:
        start_s = self.end_s[-1] if self.end_s else self.start_s
        self._moves.append(Move(start_s, int(self.table.request_id[row]), comes))

    def settle(self, decoding: list[Running], begun: Running | None, beat: int) -> Stretch:
        """Brings all to the end of the last iteration, after so many beats, and returns what they were.

        Requests that are over have ended; they keep their rows for now.
        """
        until_now = [(each, beat) for each in decoding]
        self._give_tokens(self.stints + [(each, each.end_beat) for each in self.ended] + until_now)
        self._note_times(self.stints + until_now)
        self._count_preemptions()
        if self.ended:
            self._end([each.row for each in self.ended], [each.cached_at(each.end_beat) for each in self.ended])
        num_cached = {each.row: each.cached_at(beat) for each in decoding}
        if begun is not None:
            num_cached[begun.row] = begun.num_cached
        self._hold(num_cached)
        self.worker.num_iterations += len(self.end_s) - 1  # the last one is counted when it is over
        return self._stretch(self.worker.num_iterations + 1 - len(self.end_s))

    def _give_tokens(self, stints: list[Stint]) -> None:
        """Gives each request the token after its prompt, and those of its beats up to one."""
        beat_s = array("d", self.beat_s)
        for running, stop in stints:
            request: Request = self.table.request[running.row]
            if running.first >= 0:
                request.token_at_s.append(self.end_s[running.first])
            request.token_at_s.extend(beat_s[running.beat : stop])
            request.output_token_ids += [TOKEN_ID] * (stop - running.beat + (running.first >= 0))

    def _note_times(self, stints: list[Stint]) -> None:
        """Notes in the table how many tokens these got, when the last came, and whether any was late."""
        stints = [(each, stop) for each, stop in stints if each.first >= 0 or each.beat < stop]
        if not stints:
            return
        stints.sort(key=lambda stint: stint[0].row)  # those of a request stay in order
        table, beat_s = self.table, np.array(self.beat_s)
        rows, stop = np.array([(each.row, stop) for each, stop in stints]).T
        first_s = np.array([self.beat_s[each.beat] if each.first < 0 else self.end_s[each.first] for each, _ in stints])
        then = np.array([each.beat + (each.first < 0) for each, _ in stints])  # the beat of the second token
        last_s, longest_s, more = first_s.copy(), _longest_gaps(beat_s, then, stop), then < stop
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
        rows, num_cached = np.array(self._preempted, np.int64).reshape(-1, 2).T
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
        scheduling_s = self.worker.scheduling.seconds(np.array(self._num_unfinished))
        fed = self._fed.pop(0, Fed(0, self._num_seqs[0], 0))
        first = Iteration(
            number=number,
            start_s=self.start_s,
            end_s=self.end_s[0],
            scheduling_s=scheduling_s[0].item(),
            num_prefill_tokens=fed.num_prefill_tokens,
            num_decode_tokens=fed.num_decode_tokens,
            num_seqs=self._num_seqs[0],
            num_blocks_by_form=tuple(held[0].tolist()),
            num_waiting=self._num_waiting[0],
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
            num_seqs=np.array(self._num_seqs),
            num_blocks_by_form=held,
            num_waiting=np.array(self._num_waiting),
            fed=self._fed,
            moves=self._moves,
        )


def _longest_gaps(beat_s: Floats, start: Ints, stop: Ints) -> Floats:
    """The longest gap between beats of each range, [n]; 0 where it has fewer than two."""
    longest_s, several = np.zeros(len(start)), stop - start > 1
    if any_of(several):
        gaps_s = np.append(np.diff(beat_s), 0.0)  # a range may stop at the last
        bounds = np.column_stack([start, stop - 1])[several].ravel()
        longest_s[several] = np.maximum.reduceat(gaps_s, bounds)[::2]
    return longest_s
