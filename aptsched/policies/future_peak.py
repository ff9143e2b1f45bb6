"""The most blocks that requests will hold at once, if each goes on until its expected end."""

from __future__ import annotations

from bisect import bisect_right

import numpy as np

from aptsched.policies.queue import leading
from aptsched.scheduling.forms import NUM_FORMS, CacheShape
from aptsched.support.arrays import sum_of
from aptsched.support.checks import Ints
from aptsched.support.compiled import compiled, row_by_row


def future_peak(cache: CacheShape, num_tokens: Ints, num_left: Ints, form: Ints) -> int:
    """The most blocks that requests hold at once, if all get a token in every iteration until their end.

    In iteration t, from 1, a request with at least t tokens to come holds the blocks of num_tokens + t - 1 cached
    tokens; it leaves after its last one. The sum is largest in an iteration in which some request ends. In blocks of
    one token this is the largest, over requests k by falling num_left, of the first k's num_tokens and
    k (num_left_k - 1): the estimate on which VTC's code (Sheng et al., OSDI 2024) and Past-Future (Gong et al.,
    ASPLOS 2025) admit requests.

    Parameters
    ----------
    cache : CacheShape
    num_tokens : int array, [n]
        Tokens that are cached once the next one has come, as in a view.
    num_left : int array, [n]
        Output tokens to come, as expected; at least 1.
    form : int array, [n]
        `CacheForm` of each, one that the cache offers.
    """
    return _Ends(cache, num_tokens, num_left, form).peak(len(num_tokens))


def leading_under_peak(
    cache: CacheShape, num_tokens: Ints, num_left: Ints, form: Ints, num_there: int, max_blocks: int
) -> int:
    """How many requests of a queue are admitted so that the future peak is within the blocks: the longest such prefix.

    Parameters
    ----------
    cache, num_tokens, num_left, form
        As in `future_peak`: first the requests that are there, then those of the queue in order, [n].
    num_there : int
        Requests that are there anyway.
    max_blocks : int
    """
    blocks = cache.blocks_by_form(num_tokens, form)
    count = leading(blocks[num_there:], max_blocks - sum_of(blocks[:num_there]))  # with more, the next iteration's
    if count <= 0:
        return 0
    ends = _Ends(cache, *(column[: num_there + count] for column in (num_tokens, num_left, form)))
    with_more = range(num_there + 1, num_there + count + 1)
    return bisect_right(with_more, max_blocks, key=ends.peak)  # each one more makes the peak no smaller


def get_ready() -> None:
    """Has what is compiled here compiled, or loaded from disk, before a decision waits for it."""
    future_peak(CacheShape(), *np.ones((3, 1), np.int64))


class _Ends:
    """Requests by falling number of tokens to come."""

    def __init__(self, cache: CacheShape, num_tokens: Ints, num_left: Ints, form: Ints) -> None:
        order = np.argsort(-num_left, kind="stable")
        self.position = row_by_row(order)
        self.num_tokens, self.num_left, self.form = (row_by_row(each[order]) for each in (num_tokens, num_left, form))
        self.per_block = cache.per_block

    def peak(self, count: int) -> int:
        """The future peak of the first `count` requests as they were given."""
        growing = np.zeros((NUM_FORMS, max(self.per_block)), np.int64)
        columns = (self.position, self.num_tokens, self.num_left, self.form)
        return walk_back(count, *columns, self.per_block, growing)


@compiled
def walk_back(
    count: int, position: Ints, num_tokens: Ints, end: Ints, form: Ints, per_block: tuple[int, ...], growing: Ints
) -> int:
    """The largest sum of blocks, from the last end back to the first one, of requests below a position.

    `growing`, [f, tokens], 0 before, counts by form and iteration, modulo the tokens of a block, those that take a
    block more in that iteration than in the one before.
    """
    most, held, iteration = 0, 0, 0
    for i in range(len(position)):
        if position[i] >= count:
            continue
        for f in range(len(per_block)):
            size = per_block[f]
            if size > 0 and iteration > end[i]:
                whole = (iteration - end[i]) // size  # each phase comes as often, and some come once more
                for phase in range(size):
                    held -= whole * growing[f][phase]
                for t in range(end[i] + whole * size + 1, iteration + 1):
                    held -= growing[f][t % size]
        iteration, size = end[i], per_block[form[i]]
        cached = num_tokens[i] + iteration - 1
        held += (cached + size - 1) // size
        growing[form[i]][(iteration - (cached - 1)) % size] += 1
        most = max(most, held)
    return most
