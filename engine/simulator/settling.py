"""Brings requests, table and pool to the end of iterations in a row, after which requests have so many tokens more."""

from __future__ import annotations

from aptsched.support.checks import Bools, Floats, Ints
from aptsched.support.compiled import compiled_if_often
from engine.loop.worker import Worker
from engine.simulator.computed_executor import TOKEN_ID
from engine.simulator.decoding import FED, FORM, HELD, LEFT, MORE, ROW, SLOT, START, TAKES, Decoding
from engine.state.request import Request


def settle(worker: Worker, going: Decoding, end_s: Floats) -> None:
    """Gives every request the blocks and tokens of iterations that end at these times, and ends those that are over."""
    table, pool, of, count = worker.table, worker.pool, going.of, len(end_s)
    if going.counts.num_new:
        of[SLOT] = pool.opened(of[ROW], of[SLOT], of[FORM], table)
    times = (table.pending_since_s, table.objective_s, table.slo_tpot_s)
    take_tokens(of, end_s, times, table.missed_slo, table.num_tokens, pool.num_cached, pool.cache.per_block)
    _give_tokens(table.request[of[ROW]].tolist(), of[FED].tolist(), of[TAKES].tolist(), end_s)
    if going.counts.shortest <= count:
        over = (of[LEFT] <= count).nonzero()[0]
        worker.book.end_over(of[ROW, over[of[LEFT, over].argsort(kind="stable")]])
    pool.device.give(of[SLOT], of[MORE])
    worker.num_iterations += count - 1  # the last one is counted when it is over


@compiled_if_often
def take_tokens(
    of: Ints,
    end_s: Floats,
    times: tuple[Floats, Floats, Floats],
    missed_slo: Bools,
    num_tokens: Ints,
    num_cached: Ints,
    per_block: tuple[int, ...],
) -> None:
    """Writes TAKES and MORE, and to the columns of table and pool what is true when the iterations are over."""
    (pending_since_s, objective_s, slo_tpot_s), count, longest_s = times, len(end_s), 0.0
    for k in range(1, count):  # of who is over before the longest gap, nobody looks at what is missed any more
        longest_s = max(longest_s, end_s[k] - end_s[k - 1])
    for i in range(len(of[ROW])):
        row, later, left = of[ROW][i], 1 if of[FED][i] == 0 else 0, of[LEFT][i]
        after, size = of[START][i] + min(left, count), per_block[of[FORM][i]]
        of[TAKES][i] = min(left, count) - later
        of[MORE][i] = (after + size - 1) // size - of[HELD][i] if left > count else 0
        if of[TAKES][i] > 0:
            late = end_s[later] - pending_since_s[row] > objective_s[row]
            objective_s[row], pending_since_s[row] = slo_tpot_s[row], end_s[count - 1]
            missed_slo[row] = missed_slo[row] or late or (count > 1 and longest_s > slo_tpot_s[row])
            num_tokens[row], num_cached[of[SLOT][i]] = after + 1, after


def _give_tokens(requests: list[Request], fed: list[int], takes: list[int], end_s: Floats) -> None:
    """Gives each request the tokens of its iterations, [b], the first of which is the second where that fed it none."""
    count, token_ids, times, size = len(end_s), [TOKEN_ID] * len(end_s), end_s.tobytes(), end_s.itemsize
    for request, num_fed, number in zip(requests, fed, takes, strict=True):
        takes_all, begin = number == count, not num_fed  # all, as most do
        request.output_token_ids.extend(token_ids if takes_all else token_ids[:number])
        request.token_at_s.frombytes(times if takes_all else times[begin * size : (begin + number) * size])
