"""What a decision of Apt-Serve asks of all requests together, in one pass over the view."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from aptsched.scheduling.forms import KV, CacheShape
from aptsched.scheduling.view import View
from aptsched.support.checks import Ints
from aptsched.support.compiled import compiled, row_by_row
from aptsched.support.constant import constant


class Survey(NamedTuple):
    """Who runs and who waits, and sums over those that run.

    Attributes
    ----------
    running, waiting : int array, [r], [w]
        Rows of the view.
    blocks : int array, [r]
        Blocks that each running request needs in its own form with its next token, as `next_blocks`.
    num_blocks : int
        Their sum.
    growth : int
        Blocks that running requests need beside those held, to be fed all that they have left.
    longest : int
        Most tokens of any request; 0 where there is none.
    num_fed, most_fed : int
        Tokens that running requests have left to be fed, in all and at most.
    num_cached : int
        Tokens that they have cached.
    num_others : int
        How many of them are in another form than KV.
    """

    running: Ints
    waiting: Ints
    blocks: Ints
    num_blocks: int
    growth: int
    longest: int
    num_fed: int
    most_fed: int
    num_cached: int
    num_others: int

    def forms(self, view: View) -> Ints:
        """The `CacheForm` of each running request, [r]."""
        return view.form[self.running] if self.num_others else constant(KV, len(self.running))


def survey(view: View) -> Survey:
    """The survey of a view."""
    num_tokens, num_cached = row_by_row(view.num_tokens), row_by_row(view.num_cached)
    form, num_held = row_by_row(view.form), row_by_row(view.num_held)
    rows = np.empty((3, len(num_tokens)), np.int64)
    per_block, pool_blocks = view.cache.per_block, view.num_blocks
    num_running, num_waiting, *sums = look(num_tokens, num_cached, form, num_held, per_block, pool_blocks, rows)
    running, waiting, blocks = rows
    return Survey(running[:num_running], waiting[:num_waiting], blocks[:num_running], *sums)


def get_survey_ready() -> None:
    """Has what is compiled here compiled, or loaded from disk, before a decision waits for it."""
    none = constant(0, 0)
    look(none, none, none, none, CacheShape().per_block, 0, np.empty((3, 0), np.int64))


@compiled
def look(
    num_tokens: Ints,
    num_cached: Ints,
    form: Ints,
    num_held: Ints,
    per_block: tuple[int, ...],
    pool_blocks: int,
    rows: Ints,
) -> tuple[int, int, int, int, int, int, int, int, int]:
    """Writes who runs, who waits and the blocks of a `Survey`, [3, n]; returns how many run and wait, and the sums."""
    num_running, num_waiting, num_blocks, growth, longest = 0, 0, 0, 0, 0
    num_fed, most_fed, cached, num_others = 0, 0, 0, 0
    for i in range(len(num_tokens)):
        tokens = num_tokens[i]
        longest = max(longest, tokens)
        if num_held[i] > 0:
            size, left = per_block[form[i]], tokens - num_cached[i]
            blocks = tokens // size + (tokens != pool_blocks * size)
            rows[0][num_running], rows[2][num_running] = i, blocks
            num_running += 1
            num_blocks += blocks
            growth += max((tokens + size - 1) // size - num_held[i], 0)
            num_fed += left
            most_fed = max(most_fed, left)
            cached += num_cached[i]
            num_others += form[i] != KV
        else:
            rows[1][num_waiting] = i
            num_waiting += 1
    return num_running, num_waiting, num_blocks, growth, longest, num_fed, most_fed, cached, num_others
