"""The amounts of work in an iteration, from which its time is computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from aptsched.scheduling.forms import (
    FORM_ENTRIES,
    KV,
    NONE,
    NUM_FORMS,
    CacheForm,
    CacheShape,
    Charge,
    entry_of,
    sums_by_form,
)
from aptsched.support.arrays import above_0, any_of, count_of, sum_of
from aptsched.support.checks import Ints
from engine.state.batch import Batch

Amount = float | npt.NDArray[Any]


@dataclass(eq=False)
class Work:
    """Amounts of one iteration, or of many: numbers, or arrays of one shape.

    Attributes
    ----------
    prefill_tokens : amount
        Tokens fed, except by decodes: entries that feed one token after cached ones.
    prefill_squares : amount
        Sum of stop^2 - start^2 over the chunks: twice the pairs of a token fed and a token it attends to. The chunks of
        a prompt add up to the square of the prompt's length.
    context_tokens : amount
        Tokens cached before, of all entries, that are read as K and V, also where these are rebuilt. A token in a form
        that is read at the price of its own bytes counts as the share of its bytes in those of K and V; a token
        converted to such a form counts once.
    decode_seqs : amount
        Decodes: entries that feed one token after cached ones.
    absorbed_tokens, absorbed_pairs, absorbing_tokens : amount
        Cached tokens whose hidden states are attended to without K and V; pairs of such a token and a token fed that
        attends to it, which are not in `prefill_squares`; and tokens fed that attend so.
    rebuilt_tokens, dequantised_tokens : amount
        Tokens whose K and V are rebuilt, or dequantised: cached tokens of all entries, by the `Charge` of their form,
        and converted tokens, by the charge of the conversion.
    swapped_blocks : amount
        Blocks that move between GPU and host, in either direction.
    """

    prefill_tokens: Amount = 0
    prefill_squares: Amount = 0
    context_tokens: Amount = 0
    decode_seqs: Amount = 0
    absorbed_tokens: Amount = 0
    absorbed_pairs: Amount = 0
    absorbing_tokens: Amount = 0
    rebuilt_tokens: Amount = 0
    dequantised_tokens: Amount = 0
    swapped_blocks: Amount = 0


class CostModel(Protocol):
    """Predicts the time of an iteration."""

    def seconds(self, work: Work) -> Amount:
        """Seconds of each iteration, in the shape of the amounts; 0 of one that does nothing."""
        ...


def choose(condition: Any, yes: Amount, no: Amount) -> Amount:
    """`numpy.where`, but fast for single numbers."""
    if isinstance(condition, np.ndarray):
        return np.where(condition, yes, no)
    return yes if condition else no


def larger(first: Amount, second: Amount) -> Amount:
    """`numpy.maximum`, but fast for single numbers."""
    if isinstance(first, np.ndarray) or isinstance(second, np.ndarray):
        return np.maximum(first, second)
    return max(first, second)


def work_of(batch: Batch, cache: CacheShape, absorb_up_to: int = 0) -> Work:
    """The work of a batch.

    Parameters
    ----------
    batch : Batch
    cache : CacheShape
        With the ratio of every form that the batch is in.
    absorb_up_to : int
        The most new tokens of a request for which attention over its hidden states is absorbed; for more, and with 0
        always, K and V are rebuilt.
    """
    work = work_of_chunks(batch.start, batch.num_tokens)
    if batch.conversions or any_of(batch.form != KV):
        charged = _charged(batch, cache, absorb_up_to)
        work.prefill_squares -= charged.absorbed_squares
        work.context_tokens += charged.read_tokens
        work.absorbed_tokens, work.absorbed_pairs = charged.absorbed_tokens, charged.absorbed_pairs
        work.absorbing_tokens, work.rebuilt_tokens = charged.absorbing_tokens, charged.rebuilt_tokens
        work.dequantised_tokens = charged.dequantised_tokens
    work.swapped_blocks = batch.num_swapped_blocks
    return work


def work_of_chunks(start: Ints, fed: Ints) -> Work:
    """The work of feeding so many tokens, [b], to each request after so many cached ones, [b], all in KV form."""
    decodes = (fed == 1) & above_0(start)
    num_decodes = count_of(decodes)
    prefill_tokens = prefill_squares = 0
    if num_decodes < len(fed):
        first, tokens = start[~decodes], fed[~decodes]
        prefill_tokens = sum_of(tokens)
        prefill_squares = sum_of(tokens * (2 * first + tokens))
    return Work(prefill_tokens, prefill_squares, sum_of(start), num_decodes)


def work_of_decodes(num_left: Ints, cached: Ints, cache: CacheShape, absorb_up_to: int = 0) -> Work:
    """The work of iterations in a row, each of which feeds one token to each request that is left.

    It is that of `work_of`, computed by the same operations.

    Parameters
    ----------
    num_left, cached : int array, [f, k]
        Requests that are left in each iteration, by form, and tokens that they have cached before it; in row NONE those
        of all forms. In other forms than KV as many are left in the last one as in the first.
    """
    number, charged = num_left[:, 0].tolist(), NOTHING_CHARGED
    if number[KV] < number[NONE]:
        by_form = [tokens if n else 0 for tokens, n in zip([0, *cached[KV:]], number, strict=True)]
        absorbed = [(by_form[form], number[form]) for form in ABSORBED if number[form] and absorb_up_to]
        tokens, new = (sum(amounts) for amounts in zip(*absorbed, strict=True)) if absorbed else (0, 0)
        charged = _by_entries(by_form, dict.fromkeys(Charge, 0), Absorbed(tokens, tokens, new), cache)
    return Work(
        context_tokens=cached[NONE] + charged.read_tokens,
        decode_seqs=number[NONE] if num_left[NONE, -1] == number[NONE] else num_left[NONE],
        absorbed_tokens=charged.absorbed_tokens,
        absorbed_pairs=charged.absorbed_pairs,
        absorbing_tokens=charged.absorbing_tokens,
        rebuilt_tokens=charged.rebuilt_tokens,
        dequantised_tokens=charged.dequantised_tokens,
    )


@dataclass(frozen=True)
class Absorbed:
    """Absorbed attention of an iteration: as in `Work`, and what of `Work.prefill_squares` it takes the place of."""

    absorbed_tokens: Amount = 0
    absorbed_pairs: Amount = 0
    absorbing_tokens: Amount = 0
    absorbed_squares: Amount = 0


@dataclass(frozen=True)
class Charged(Absorbed):
    """The work that forms other than KV, and conversions, add to an iteration.

    Attributes
    ----------
    read_tokens : amount
        Tokens read in addition to all tokens cached before, counted as K and V: below 0 where fewer bytes are read, or
        hidden states in place of K and V.
    rebuilt_tokens, dequantised_tokens : amount
    """

    read_tokens: Amount = 0
    rebuilt_tokens: Amount = 0
    dequantised_tokens: Amount = 0


NOTHING_CHARGED = Charged()
ABSORBED = [entry.form for entry in FORM_ENTRIES if entry.charge is Charge.ABSORB]
IS_ABSORBED = np.isin(np.arange(NUM_FORMS), ABSORBED)  # [f]


def _charged(batch: Batch, cache: CacheShape, absorb_up_to: int) -> Charged:
    """The added work of a batch."""
    converted = dict.fromkeys(Charge, 0)
    for made in batch.conversions:
        converted[entry_of(made.source).becomes[CacheForm(made.target)]] += made.num_cached
    absorbed = _absorbed(batch, absorb_up_to) if absorb_up_to and any_of(IS_ABSORBED[batch.form]) else Absorbed()
    return _by_entries(sums_by_form(batch.form, batch.start), converted, absorbed, cache)


def _by_entries(
    cached: Sequence[Amount], converted: Mapping[Charge, Amount], absorbed: Absorbed, cache: CacheShape
) -> Charged:
    """The added work of tokens cached in each form, [f], and of converted ones, by the entries of `FORM_ENTRIES`."""
    tokens = dict(converted)
    for entry in FORM_ENTRIES:
        tokens[entry.charge] += cached[entry.form]
    by_bytes = [entry.form for entry in FORM_ENTRIES if entry.own_reads]
    saved = sum((1 - cache.read_share[form]) * cached[form] for form in by_bytes)
    return Charged(
        **vars(absorbed),
        read_tokens=tokens[Charge.READ] - saved - absorbed.absorbed_tokens,
        rebuilt_tokens=tokens[Charge.REBUILD] + tokens[Charge.ABSORB] - absorbed.absorbed_tokens,
        dequantised_tokens=tokens[Charge.DEQUANTISE],
    )


def _absorbed(batch: Batch, absorb_up_to: int) -> Absorbed:
    """The absorbed attention of a batch: of requests with few enough new tokens, where any are cached."""
    are = IS_ABSORBED[batch.form] & (batch.num_tokens <= absorb_up_to) & above_0(batch.start)
    start, fed = batch.start[are], batch.num_tokens[are]
    pairs = start * fed
    return Absorbed(sum_of(start), sum_of(pairs), sum_of(fed), 2 * sum_of(pairs[fed > 1]))
