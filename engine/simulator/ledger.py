"""What iterations in order of arrival came to, until requests, table and pool are brought to their end."""

from __future__ import annotations

from array import array
from dataclasses import dataclass

import numpy as np

from aptsched.scheduling.forms import KV, NUM_FORMS
from aptsched.support.arrays import any_of
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


class Ledger:
    """Iterations in a row, and whose tokens they were.

    Attributes
    ----------
    end_s, beat_s : list of float
        When each iteration ended, and each beat.
    ended : list of Running
        In order of their ends.
    """

    def __init__(self, worker: Worker, start_s: float) -> None:
        self.worker, self.table, self.pool, self.start_s = worker, worker.table, worker.pool, start_s
        self.end_s, self.beat_s, self.ended = list[float](), list[float](), list[Running]()
        self._free, self._num_seqs, self._num_waiting, self._num_unfinished = (list[int]() for _ in range(4))
        self._fed, self._moves = dict[int, Fed](), list[Move]()
        self._num_preempted = 0  # for the next iteration

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
        for column, value in (
            (self._num_seqs, num_seqs),
            (self._num_waiting, num_waiting),
            (self._num_unfinished, num_unfinished),
        ):
            column += [value] * len(end_s)

    def feed(self, num_prefill_tokens: int, num_decode_tokens: int) -> None:
        """The next iteration feeds so many tokens."""
        self._fed[len(self.end_s)] = Fed(num_prefill_tokens, num_decode_tokens, self._num_preempted)
        self._num_preempted = 0

    def admit(self, running: Running) -> None:
        """A request gets a cache in the next iteration."""
        self._move(running.row, True)

    def preempt(self, running: list[Running], num_cached: list[int], beat: int) -> None:
        """The caches of these requests, of so many tokens, are thrown away, after so many beats."""
        rows, decoded = np.array([each.row for each in running]), [each for each in running if each.end_beat]
        self._give_tokens(decoded, [beat] * len(decoded))
        self._note_times(decoded)
        self.table.count_preemptions(rows, np.array(num_cached))
        self.pool.release(rows, self.table)
        self._num_preempted = len(rows)
        for each in running:
            self._move(each.row, False)

    def _move(self, row: int, comes: bool) -> None:
        start_s = self.end_s[-1] if self.end_s else self.start_s
        self._moves.append(Move(start_s, int(self.table.request_id[row]), comes))

    def settle(self, decoding: list[Running], begun: Running | None, beat: int) -> Stretch:
        """Brings all to the end of the last iteration, after so many beats, and returns what they were.

        Requests that are over have ended; they keep their rows for now.
        """
        self._give_tokens(self.ended, [each.end_beat for each in self.ended])
        self._give_tokens(decoding, [beat] * len(decoding))
        self._note_times(decoding)
        if self.ended:
            self._end([each.row for each in self.ended], [each.cached_at(each.end_beat) for each in self.ended])
        num_cached = {each.row: each.cached_at(beat) for each in decoding}
        if begun is not None:
            num_cached[begun.row] = begun.num_cached
        self._hold(num_cached)
        self.worker.num_iterations += len(self.end_s) - 1  # the last one is counted when it is over
        return self._stretch(self.worker.num_iterations + 1 - len(self.end_s))

    def _give_tokens(self, running: list[Running], stop: list[int]) -> None:
        """Gives each request the token after its prompt, and those of its beats up to one."""
        since = min((each.beat for each in running), default=0)
        beat_s = array("d", self.beat_s[since:])
        for each, end in zip(running, stop, strict=True):
            request: Request = self.table.request[each.row]
            if each.first >= 0:
                request.token_at_s.append(self.end_s[each.first])
            request.token_at_s.extend(beat_s[each.beat - since : end - since])
            request.output_token_ids += [TOKEN_ID] * (end - each.beat + (each.first >= 0))

    def _note_times(self, running: list[Running]) -> None:
        """Notes the tokens that these got up to the last beat in the table, and when they came."""
        running = [each for each in running if each.first >= 0 or each.beat < len(self.beat_s)]
        if not running:
            return
        table, since = self.table, min(each.beat for each in running)
        beat_s, rows = np.array(self.beat_s[since:]), np.array([each.row for each in running])
        first_s = [self.end_s[each.first] if each.first >= 0 else self.beat_s[each.beat] for each in running]
        then = np.array([each.beat - since + (each.first < 0) for each in running])  # the beat of the second token
        table.add_tokens(rows, np.array(first_s))
        table.num_tokens[rows] += len(beat_s) - then
        more = then < len(beat_s)
        if not any_of(more):
            return
        rows, then = rows[more], then[more]
        longest_s = np.maximum.accumulate(np.append(np.diff(beat_s), 0.0)[::-1])[::-1]  # of all gaps after each beat
        gap_s = np.maximum(beat_s[then] - table.pending_since_s[rows], longest_s[then])
        table.missed_slo[rows] |= gap_s > table.objective_s[rows]
        table.pending_since_s[rows] = beat_s[-1]

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
