"""The forms that Apt-Serve may give to waiting requests, and to running ones by conversion in place."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from aptsched.policies.composition import next_blocks
from aptsched.scheduling.forms import KV, CacheForm, CacheShape, sums_by_form
from aptsched.scheduling.view import View
from aptsched.support.arrays import count_of, largest_of, sum_of
from aptsched.support.checks import Bools, Ints

FORM_SETS: Mapping[str, tuple[CacheForm, ...]] = MappingProxyType(
    {
        "hybrid": (CacheForm.KV, CacheForm.HIDDEN),
        "kv": (CacheForm.KV,),
        "hidden": (CacheForm.HIDDEN,),
        "int8": (CacheForm.INT8,),
        "kv+int8": (CacheForm.KV, CacheForm.INT8),
        "hybrid+int8": (CacheForm.KV, CacheForm.HIDDEN, CacheForm.INT8),
        "keys": (CacheForm.KEYS,),
        "kv+keys": (CacheForm.KV, CacheForm.KEYS),
    }
)
KV_ALONE = (KV,)


def on_offer(cache: CacheShape, forms: str) -> tuple[int, ...]:
    """The forms of a set (`FORM_SETS`) that the cache offers, the lightest last; KV where it offers none of them."""
    return tuple([form for form in cache.heaviest_first if form in FORM_SETS[forms]]) or KV_ALONE


def lighter_than_kv(cache: CacheShape, forms: str) -> tuple[int, ...]:
    """The forms of a set, as in `on_offer`, that tokens in KV form can be converted to in place."""
    return tuple(form for form in on_offer(cache, forms) if cache.conversions[KV, form])


def waiting_forms(view: View, num_tokens: Ints, offer: tuple[int, ...]) -> tuple[Ints, Bools]:
    """Blocks of waiting requests in each form, with their next token, and whether the form is offered, [f, r] each."""
    kv_blocks = next_blocks(view, num_tokens, KV)
    forms = range(KV, max(offer) + 1)
    blocks = [next_blocks(view, num_tokens, form) if form in offer and form != KV else kv_blocks for form in forms]
    offered = np.empty((len(blocks), len(num_tokens)), np.bool_)
    offered[:] = np.array([form in offer for form in forms])[:, None]
    return np.array(blocks), offered


def running_forms(view: View, rows: Ints, own: Ints, blocks: Ints, most_more: Mapping[int, int]) -> tuple[Ints, Bools]:
    """As `waiting_forms`, for running requests, [r]: their own form, or another one by conversion in place.

    A conversion is not undone, so it needs blocks for all tokens and one more.

    Parameters
    ----------
    rows, own, blocks : int array, [r]
        The row of each request, its form, and the blocks that it needs in that form.
    most_more : mapping of CacheForm to int
        Forms that requests may be converted to, and the most blocks that this may take beside their own.
    """
    next_tokens = view.num_tokens[rows] + 1
    num_forms = max(largest_of(own), *most_more, KV)
    in_form, offered = np.empty((num_forms, len(rows)), np.int64), np.empty((num_forms, len(rows)), np.bool_)
    for row, form in enumerate(range(KV, num_forms + 1)):
        is_own = own == form
        in_form[row], offered[row] = blocks, is_own
        if form == KV or form in most_more:
            in_form[row] = np.where(is_own, blocks, view.cache.blocks(next_tokens, form))
        if form in most_more:
            offered[row] |= view.cache.conversions[:, form][own] & (in_form[row] - blocks <= most_more[form])
    return in_form, offered


def in_kv_alone(own: Ints) -> bool:
    """Whether all running requests, whose forms these are, [r], are in KV form."""
    return not len(own) or largest_of(own) == KV


def own_blocks(view: View, rows: Ints, own: Ints) -> Ints:
    """Blocks that running requests, [r], need in their own forms, [r], with their next token."""
    num_tokens = view.num_tokens[rows]
    blocks = next_blocks(view, num_tokens, KV)
    if in_kv_alone(own):
        return blocks
    for form in np.unique(own[own != KV]).tolist():
        blocks = np.where(own == form, next_blocks(view, num_tokens, form), blocks)
    return blocks


def decode_s(view: View, rows: Ints, own: Ints, fed: Ints) -> float:
    """Seconds that an iteration of running requests, [r], in their own forms, [r], is believed to take."""
    kv_blocks = None
    if not in_kv_alone(own):
        kv_blocks = sums_by_form(own, view.cache.blocks(view.num_tokens[rows], KV))
    return view.times.predict(sum_of(fed), sum_of(view.num_cached[rows]), kv_blocks, count_of(fed == 1))
