"""What an iteration does, in numbers: all that its time is computed from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from aptsched.scheduling.forms import HIDDEN
from aptsched.support.flags import any_of, count_of
from engine.state.batch import Batch

Amount = float | npt.NDArray[Any]


@dataclass(eq=False)
class Work:
    """Amounts of one iteration, or of many: numbers, or arrays of one shape.

    Attributes
    ----------
    prefill_tokens : amount
        Tokens fed, except by entries that feed one after others that are cached, which are decodes.
    prefill_squares : amount
        Sum over the chunks of stop^2 - start^2: pairs of a token fed and a token it attends to, twice. The chunks of
        a prompt add up to the prompt's length, squared.
    context_tokens : amount
        Tokens cached before, of all entries: they are read.
    decode_seqs : amount
        Entries that feed one token after others.
    hidden_tokens : amount
        Tokens cached in hidden form, of all entries: their K and V are rebuilt.
    promoted_tokens : amount
        Tokens whose hidden states become K and V.
    swapped_blocks : amount
        Blocks that move between GPU and host, in either direction.
    """

    prefill_tokens: Amount = 0
    prefill_squares: Amount = 0
    context_tokens: Amount = 0
    decode_seqs: Amount = 0
    hidden_tokens: Amount = 0
    promoted_tokens: Amount = 0
    swapped_blocks: Amount = 0


class CostModel(Protocol):
    """Says what an iteration takes."""

    def seconds(self, work: Work) -> Amount:
        """Seconds of each iteration, in the shape of the amounts; 0 of one that does nothing."""
        ...


def choose(condition: Any, yes: Amount, no: Amount) -> Amount:
    """`numpy.where`, which takes its time over single numbers."""
    if isinstance(condition, np.ndarray):
        return np.where(condition, yes, no)
    return yes if condition else no


def larger(first: Amount, second: Amount) -> Amount:
    """`numpy.maximum`, as above."""
    return choose(first > second, first, second)


def work_of(batch: Batch) -> Work:
    """What a batch does."""
    start, fed, hidden = batch.start, batch.num_tokens, batch.form == HIDDEN
    decodes = (fed == 1) & (start > 0)
    num_decodes = count_of(decodes)
    prefill_tokens = prefill_squares = 0
    if num_decodes < len(fed):
        first, tokens = start[~decodes], fed[~decodes]
        prefill_tokens = int(tokens.sum())
        prefill_squares = int((tokens * (2 * first + tokens)).sum())
    return Work(
        prefill_tokens=prefill_tokens,
        prefill_squares=prefill_squares,
        context_tokens=int(np.add.reduce(start)),
        decode_seqs=num_decodes,
        hidden_tokens=int(np.add.reduce(start[hidden])) if any_of(hidden) else 0,
        promoted_tokens=sum([conversion.num_cached for conversion in batch.conversions]),
        swapped_blocks=batch.num_swapped_blocks,
    )
