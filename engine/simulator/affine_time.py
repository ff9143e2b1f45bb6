"""Affine functions that no iteration is faster than, whatever is in it: what bounds on a whole run stand on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from aptsched.scheduling.forms import CacheForm, CacheShape, Charge, entry_of
from engine.simulator.cost import Cost
from engine.simulator.fits import FittedCost
from engine.simulator.roofline import Roofline
from engine.simulator.work import CostModel

MULTIPLIED = (0.0, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0)  # shares of the time to multiply in that of a pass; the rest reads


@dataclass(frozen=True)
class AffineTime:
    """No iteration takes less than the fixed time and the sums of the others over what it does.

    Parameters
    ----------
    fixed_s : float
        Of any iteration that feeds a token.
    prefill_s : float
        For each token fed, except by decodes.
    square_s : float
        For each of `Work.prefill_squares`.
    context_s : float
        For each cached token that is read.
    decode_s : float
        For each decode.
    """

    fixed_s: float
    prefill_s: float
    square_s: float
    context_s: float
    decode_s: float


def affine_times(cost: Cost, cache: CacheShape, forms: Sequence[CacheForm | int]) -> Iterator[AffineTime]:
    """Affine functions below the time of every iteration whose requests are in these forms.

    A pass takes the longer of reading and multiplying: no less than any mean of the two, of which some are returned.
    A cached token counts at the least of its bytes that any of the forms reads. Where hidden states are absorbed for
    several new tokens at once, pairs of tokens count nothing.

    Parameters
    ----------
    cost : Cost
    cache : CacheShape
        With the ratio of every form.
    forms : sequence of CacheForm
        Those that requests may be given.
    """
    share = min(_read_share(cost, cache, form) for form in forms)
    absorbs = any(entry_of(form).charge is Charge.ABSORB for form in forms) and cost.absorb_up_to > 1
    for multiplied in MULTIPLIED:
        below = _below(cost.passes, multiplied)
        yield replace(below, context_s=share * below.context_s, square_s=0.0 if absorbs else below.square_s)


def _below(passes: CostModel, multiplied: float) -> AffineTime:
    """The mean of reading and multiplying with that share of the latter, below the time of any pass."""
    read = 1 - multiplied
    if isinstance(passes, Roofline):
        token_s = multiplied * passes.per_token_s + passes.reduce_per_token_s
        read_s = passes.weights_s + passes.experts_s * (1 - passes.missed_share)  # of one token, the least
        fixed_s = read * read_s + passes.reduce_s
        return AffineTime(fixed_s, token_s, passes.per_square_s, passes.per_context_token_s, token_s)
    assert isinstance(passes, FittedCost)
    token_s, decode = multiplied * passes.prefill.first_s, passes.decode
    decode_s = min(decode.second_s, read * decode.second_s + token_s)
    fixed_s = read * min(passes.weights_s, decode.fixed_s)
    return AffineTime(fixed_s, token_s, passes.prefill.second_s, decode.first_s, decode_s)


def _read_share(cost: Cost, cache: CacheShape, form: CacheForm | int) -> float:
    """The least of a token's K and V that an iteration reads, or the time of it, where the token is in that form."""
    entry = entry_of(form)
    if entry.own_reads:
        return min(1.0, cache.read_share[form])
    if entry.charge is Charge.ABSORB and cost.absorbed is not None:
        return min(1.0, cost.absorbed.read_share)
    return 1.0
