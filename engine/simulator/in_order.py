"""Requests served in order of arrival by a policy's rule, iteration after iteration, without asking it."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Callable
from typing import cast

from aptsched.scheduling.first_come import FirstCome
from aptsched.scheduling.forms import KV, blocks_for
from aptsched.support.arrays import above_0, all_of, largest_of
from aptsched.support.checks import Bools
from engine.loop.arrivals import Arrivals
from engine.loop.worker import Worker
from engine.simulator.computed_executor import ComputedExecutor
from engine.simulator.ledger import Ledger, Running
from engine.simulator.stretch import Stretch
from engine.simulator.work import Work

MOST_ITERATIONS = 4096  # after which no further ones are begun
Prompts = list[tuple[Running, int]]  # whose prompts are fed, and how many tokens of them
End = tuple[int, int, Running]  # the last beat and the row of one that decodes


def is_in_order(worker: Worker, rule: FirstCome) -> bool:
    """Whether the rule says how the worker goes on: its first requests run, and all but the last of them decode."""
    table, pool = worker.table, worker.pool
    num_rows, count = table.num_rows, table.num_rows - table.num_waiting
    if not 0 < count <= min(worker.limits.max_seqs, rule.max_tokens) or not all_of(above_0(table.slot[:count])):
        return False
    if largest_of(pool.form) > KV or pool.host.free_blocks < pool.num_host_blocks:
        return False
    if not all_of(decode_of(worker, count)[: count if rule.alone else count - 1]):
        return False
    return pool.cache.blocks(largest_of(table.num_tokens[:num_rows]), KV) <= pool.num_blocks


def decode_of(worker: Worker, count: int) -> Bools:
    """Whether each of so many first requests, which run, has its newest output token alone left to be fed."""
    table, num_tokens = worker.table, worker.table.num_tokens[:count]
    left = num_tokens - worker.pool.num_cached[table.slot[:count]]
    is_decode: Bools = (left == 1) & (num_tokens > table.num_prompt_tokens[:count])
    return is_decode


class InOrder:
    """Serves the requests of a worker by a rule, from a time on at which `is_in_order` is true.

    A **beat** is an iteration in which those that decode take part: where prompts are fed alone they do not. With each
    beat whoever decodes has one more token cached, and it needs a block for that where its last one is full. How many
    need one is kept by the number of the beat modulo the tokens of a block, so that an iteration in which nobody comes
    or goes costs the same however many there are.

    Parameters
    ----------
    worker : Worker
        Requests that arrive are added to it; what else happens is brought to its table and its pool by `settle`.
    rule : FirstCome
    executor : ComputedExecutor
    arrivals : Arrivals
    now_s : float
    """

    def __init__(
        self, worker: Worker, rule: FirstCome, executor: ComputedExecutor, arrivals: Arrivals, now_s: float
    ) -> None:
        assert worker.scheduling is not None, "the clock is computed"
        self.worker, self.rule, self.arrivals, self.now_s = worker, rule, arrivals, now_s
        self.table, self.ledger = worker.table, Ledger(worker, now_s)
        self.scheduling_s = worker.scheduling.seconds
        self.executor_s = cast(Callable[[Work], float], executor.cost.seconds)  # of one iteration
        self.until_s = -math.inf  # when the next request arrives
        self.free, self.beat, self.context = worker.pool.free_blocks, 0, 0  # the last: tokens cached of who decodes
        self.growing = [0] * worker.pool.cache.per_block[KV]
        self.decoding, self.by_end = list[Running](), list[End]()  # by row, and by their last beat
        self.begun: Running | None = None  # the last one that runs, where it has more than one token left to be fed
        count = self.table.num_rows - self.table.num_waiting
        num_tokens, is_decode = self.table.num_tokens[: self.table.num_rows].tolist(), decode_of(worker, count).tolist()
        self.waiting = deque(enumerate(num_tokens[count:], count))  # rows, and tokens to be fed to each
        for row, num_cached in enumerate(worker.pool.num_cached[self.table.slot[:count]].tolist()):
            running = Running(row, num_tokens[row], num_cached)
            if is_decode[row]:
                self._decodes(running)
            else:
                self.begun = running

    def go_on(self, past_ends: bool) -> None:
        """Takes iterations as long as the rule says what they are; none after one that ends a request, if told so."""
        while (self.now_s < self.until_s or self._take_arrivals()) and self._iterate():
            if len(self.ledger.end_s) >= MOST_ITERATIONS or (self.ledger.ended and not past_ends):
                break

    def settle(self) -> Stretch | None:
        """Brings requests, table and pool to the end of the last iteration; None where there was none."""
        return self.ledger.settle(self.decoding, self.begun, self.beat) if self.ledger.end_s else None

    def _take_arrivals(self) -> bool:
        """Adds who has arrived; False where somebody can never be served in KV form, which is left to others."""
        pool, limits = self.worker.pool, self.worker.limits
        for request in self.arrivals.until(self.now_s):
            if self._blocks(request.num_prompt_tokens) > pool.num_blocks or limits.refusal(request, pool):
                return False
            self.worker.book.add(request)
            self.waiting.append((self.table.num_rows - 1, request.num_prompt_tokens))
        self.until_s = self.arrivals.next_s
        return True

    def _iterate(self) -> bool:
        """An iteration, and those after it in which all only decode; False, with none, where the policy is asked."""
        if self.rule.alone and self.waiting:
            if self.waiting[0][1] > self.rule.max_tokens:
                return False  # it is for the policy to say how such a prompt is fed
            admitted = self._admitted(self.free, self.rule.max_tokens)
            if admitted:
                return self._feed(admitted, decodes=False)
        rest: Prompts = []
        budget = self.rule.max_tokens - len(self.decoding)
        growth, begun = self.growing[self.beat % len(self.growing)], self.begun
        if begun is not None:
            chunk = min(begun.num_tokens - begun.num_cached, budget)
            rest, budget, growth = [(begun, chunk)], budget - chunk, growth + self._more(begun.num_cached, chunk)
        if budget < 0 or not (chunk > 0 if rest else self.decoding):
            return False
        if growth > self.free:
            return self._preempt(growth - self.free, dict(rest)) and self._go_on_without(rest)
        admitted = self._admitted(self.free - growth, budget) if self.waiting and not self.rule.alone else []
        return self._feed(rest + admitted) if rest or admitted else self._decode_on()

    def _admitted(self, room: int, budget: int) -> Prompts:
        """Who is admitted with so many free blocks and so much of the budget, and how many tokens each is fed."""
        admitted: Prompts = []
        rule, room, per_block = self.rule, room - self.rule.spared_blocks, len(self.growing)
        places = self.worker.limits.max_seqs - len(self.decoding) - (self.begun is not None)
        for row, num_tokens in self.waiting:
            blocks = blocks_for(rule.least_tokens(num_tokens, budget), per_block)
            if budget <= 0 or len(admitted) == places or blocks > room or (rule.alone and num_tokens > budget):
                break
            admitted.append((Running(row, num_tokens), min(num_tokens, budget)))
            room, budget = room - blocks, budget - num_tokens
        return admitted

    def _preempt(self, short: int, chunks: dict[Running, int]) -> bool:
        """Preempts the last that run, as few as give back the blocks that are short; False where nobody would go on."""
        running, count = [*self.decoding, *chunks], 0
        while short > 0:
            count += 1
            if count == len(running):
                return False
            short -= self._blocks(self._cached(running[-count]) + chunks.get(running[-count], 1))
        for last in reversed(running[-count:]):
            cached = self._cached(last)
            if last is self.begun:
                self.waiting.appendleft((last.row, last.num_tokens))
            else:
                self.waiting.appendleft((last.row, cached + 1))
                del self.by_end[bisect_left(self.by_end, (last.end_beat, last.row))]
                last.stop = self.beat
                self.ledger.stints.append(last)
            self.ledger.preempt(last, cached)
            self._leaves(last, cached)
        return True

    def _go_on_without(self, rest: Prompts) -> bool:
        """The iteration in which others were preempted, and those after it in which all only decode."""
        if self.begun is not None:
            return self._feed(rest)
        self.ledger.feed(0, len(self.decoding))
        rule, room = self.rule, self.free - self.growing[self.beat % len(self.growing)]
        alone = rule.alone and self.waiting[0][1] > rule.max_tokens  # which it is for the policy to say
        admits = alone or self._admitted(room, rule.max_tokens - (0 if rule.alone else len(self.decoding)))
        return self._decode_on(1 if admits else MOST_ITERATIONS)

    def _feed(self, prompts: Prompts, decodes: bool = True) -> bool:
        """An iteration that feeds these prompts, and one token to each that decodes, unless these wait for it."""
        num_decodes = len(self.decoding) if decodes else 0
        work, num_fed, num_outputs = Work(), num_decodes, num_decodes
        for running, chunk in prompts:
            num_fed += chunk
            num_outputs += self._feed_prompt(work, running, chunk)
        if decodes:
            work.decode_seqs, work.context_tokens = work.decode_seqs + num_decodes, work.context_tokens + self.context
            self.free -= self.growing[self.beat % len(self.growing)]
            self.context, self.beat = self.context + num_decodes, self.beat + 1
        num_seqs, num_waiting = num_decodes + len(prompts), len(self.waiting)
        num_unfinished = len(self.decoding) + len(prompts) + num_waiting
        self.now_s += self.executor_s(work) + self.scheduling_s(num_unfinished)
        self.ledger.feed(num_fed - num_outputs, num_outputs)
        self.ledger.add([self.now_s], [self.free], num_seqs, num_waiting, num_unfinished, beats=decodes)
        self.begun = None
        for running, _ in prompts:
            if running.num_cached < running.num_tokens:
                self.begun = running
            else:
                running.first = len(self.ledger.end_s) - 1
                self._decodes(running)
        self._end_over()
        return True

    def _feed_prompt(self, work: Work, running: Running, chunk: int) -> bool:
        """Adds what feeding so many tokens of a prompt is; returns whether that is the newest output token alone."""
        start = running.num_cached
        if not start:
            self.waiting.popleft()
            self.ledger.admit(running)
        self.free -= self._more(start, chunk)
        running.num_cached += chunk
        work.context_tokens += start
        if not start or chunk > 1:
            work.prefill_tokens += chunk
            work.prefill_squares += chunk * (2 * start + chunk)
            return False
        work.decode_seqs += 1
        in_output = start >= self.table.num_prompt_tokens[running.row]
        return bool(in_output and running.num_cached == running.num_tokens)

    def _decode_on(self, most: int = MOST_ITERATIONS) -> bool:
        """Decodes until somebody is over, has arrived, or finds no block; nobody who waits finds any until then."""
        free, beat, context, now_s = self.free, self.beat, self.context, self.now_s
        growing, per_block, until_s = self.growing, len(self.growing), self.until_s
        count, end_s, left = len(self.decoding), list[float](), list[int]()
        scheduling_s, seconds = self.scheduling_s(count + len(self.waiting)), self.executor_s
        last = min(self.by_end[0][0], beat + most)
        while beat < last and now_s < until_s and growing[beat % per_block] <= free:
            free -= growing[beat % per_block]
            now_s += seconds(Work(context_tokens=context, decode_seqs=count)) + scheduling_s
            context += count
            beat += 1
            end_s.append(now_s)
            left.append(free)
        self.free, self.beat, self.context, self.now_s = free, beat, context, now_s
        self.ledger.add(end_s, left, count, len(self.waiting), count + len(self.waiting))
        self._end_over()
        return True

    def _decodes(self, running: Running) -> None:
        """Adds a request that decodes from the next beat on, behind the others."""
        running.beat = self.beat
        running.end_beat = self.beat + int(self.table.end_tokens[running.row]) - running.num_cached - 1
        self.decoding.append(running)
        insort(self.by_end, (running.end_beat, running.row, running))
        self.context += running.num_cached
        self.growing[(self.beat - running.num_cached) % len(self.growing)] += 1

    def _end_over(self) -> None:
        """Ends those whose last beat is over."""
        while self.by_end and self.by_end[0][0] <= self.beat:
            over = self.by_end.pop(0)[2]
            self._leaves(over, over.cached_at(self.beat))
            self.ledger.ended.append(over)

    def _leaves(self, running: Running, cached: int) -> None:
        """Takes a request out, and the blocks back of so many tokens."""
        self.free += self._blocks(cached)
        if running is self.begun:
            self.begun = None
        else:
            self.decoding.remove(running)
            self.context -= cached
            self.growing[(running.beat - running.num_cached) % len(self.growing)] -= 1

    def _cached(self, running: Running) -> int:
        """Tokens that a request which runs has cached."""
        return running.num_cached if running is self.begun else running.cached_at(self.beat)

    def _blocks(self, num_tokens: int) -> int:
        return blocks_for(num_tokens, len(self.growing))

    def _more(self, num_cached: int, chunk: int) -> int:
        """Blocks that a request needs for so many tokens more."""
        return self._blocks(num_cached + chunk) - self._blocks(num_cached)
