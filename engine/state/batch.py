"""The batch that an executor gets, and the step that it returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from aptsched.scheduling.plan import nothing
from aptsched.support.checks import Bools, Ints, seconds
from aptsched.support.errors import InputError
from aptsched.support.lazy import lazy
from aptsched.support.quick_init import quick_init
from aptsched.support.shown import shown
from engine.state.request import Request, TokenLogprobs


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
    requests : sequence of Request, [r]
    num_blocks : int array, [r]
        Whose blocks they are: first all of the first request's, and so on. Only the computed clock asks for it.
    """

    source: Ints
    target: Ints
    requests: Sequence[Request] = ()
    num_blocks: Ints = field(default_factory=nothing)


NO_COPIES = Copies(nothing(), nothing())


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
    logprobs : mapping of int to TokenLogprobs
        Of the next tokens of those entries that ask for them.
    """

    duration_s: float
    token_ids: Ints
    logprobs: Mapping[int, TokenLogprobs] = field(default_factory=dict)


def check_step(step: Step, batch: Batch) -> None:
    """Raises InputError if what an executor of the user's own has returned is not the result of the batch."""
    if not isinstance(step, Step):
        raise InputError(f"executor: {type(step).__name__} is not accepted; a Step is")
    token_ids, num_entries = step.token_ids, len(batch.samples)
    if not isinstance(token_ids, np.ndarray) or token_ids.dtype != np.int64 or token_ids.shape != (num_entries,):
        kind = f"{getattr(token_ids, 'dtype', type(token_ids).__name__)} of shape {list(np.shape(token_ids))}"
        raise InputError(f"token_ids: {kind} is not accepted; int64 of shape [{num_entries}] is")
    if (token_ids >= 0).tobytes() != batch.samples.tobytes():
        accepted = "a number of at least 0 for each entry that samples, -1 for the others is"
        raise InputError(f"token_ids: {shown(token_ids.tolist())} is not accepted; {accepted}")
    seconds("duration_s", step.duration_s)


class Executor(Protocol):
    """Runs a batch."""

    def run(self, batch: Batch) -> Step:
        """Swap, convert, feed the tokens, write the cache, and sample."""
        ...
