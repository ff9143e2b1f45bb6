"""The batch that an executor gets, and the step that it returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from aptsched.support.checks import Bools, Ints
from aptsched.support.lazy import lazy
from aptsched.support.quick_init import quick_init
from engine.state.request import Request


@dataclass(frozen=True, eq=False)
class Conversion:
    """A request whose cache is converted to another form in place.

    Attributes
    ----------
    request : Request
    num_cached : int
        Tokens to be converted.
    source, target : int
        `CacheForm` that the tokens are in, and the one that they get.
    source_blocks, target_blocks : int array
        Blocks that hold the tokens, in order, and blocks that they go to. Some blocks may be in both: all tokens of a
        layer are read before any is written.
    """

    request: Request
    num_cached: int
    source: int
    target: int
    source_blocks: Ints
    target_blocks: Ints


@dataclass(frozen=True, eq=False)
class Copies:
    """Blocks that are copied between the pool and the host.

    Attributes
    ----------
    source, target : int array, [c]
        Block source[i] of one side goes to block target[i] of the other.
    """

    source: Ints
    target: Ints


NO_COPIES = Copies(np.empty(0, np.int64), np.empty(0, np.int64))


@quick_init
@dataclass(frozen=True, eq=False)
class Batch:
    """One iteration, with all blocks allocated.

    Attributes
    ----------
    requests : sequence of Request, [b]
    start : int array, [b]
        Tokens cached before: the position of the first token fed.
    num_tokens : int array, [b]
        Tokens fed.
    form : int array, [b]
        `CacheForm` of each.
    block_table : int array, [b, most blocks of any]
        Blocks of each request in order, enough for start + num_tokens; -1 beyond its last.
    samples : bool array, [b]
        Whether all known tokens are cached afterwards, so that the entry yields the next token.
    conversions : sequence of Conversion
        Made in order before the entries run; a converted request may be one of them.
    swap_out, swap_in : Copies
        Copies from the pool to the host, then from the host to the pool, before all else. Blocks that were copied out
        may be overwritten at once by later steps.
    """

    requests: Sequence[Request]
    start: Ints
    num_tokens: Ints
    form: Ints
    block_table: Ints
    samples: Bools
    conversions: Sequence[Conversion] = ()
    swap_out: Copies = NO_COPIES
    swap_in: Copies = NO_COPIES

    @lazy
    def feeds_one(self) -> Bools:
        """Which entries are fed a single token, [b]."""
        single: Bools = self.num_tokens == 1
        return single

    @property
    def num_swapped_blocks(self) -> int:
        """Blocks copied between the pool and the host, in both directions."""
        return len(self.swap_out.source) + len(self.swap_in.source)


@quick_init
@dataclass(frozen=True, eq=False)
class Step:
    """The result of an iteration.

    Attributes
    ----------
    duration_s : float
    token_ids : int array, [b]
        The next token of each entry that samples; -1 elsewhere.
    """

    duration_s: float
    token_ids: Ints


class Executor(Protocol):
    """Runs a batch."""

    def run(self, batch: Batch) -> Step:
        """Swap, convert, feed the tokens, write the cache, and sample."""
        ...
