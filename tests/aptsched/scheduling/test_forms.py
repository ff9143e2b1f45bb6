"""The table of forms, and how tokens of any of them go into blocks, for models of any sizes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from aptsched.scheduling.forms import (
    FORM_ENTRIES,
    NONE,
    NUM_FORMS,
    CacheForm,
    CacheShape,
    lossy_ratios,
    shown_forms,
    sums_by_form,
)
from aptsched.support.errors import InputError
from caches import by_form
from engine.models.decoder import Decoder
from engine.models.hf_config import from_hf
from engine.models.random_weights import random_weights
from engine.runner.cache_storage import CacheStorage
from engine.runner.forms.table import form_blocks
from tiny_model import OPT


@dataclass(frozen=True)
class Sizes:
    """Those of a model that a form's bytes follow from."""

    hidden_size: int
    num_kv_heads: int
    head_dim: int


ANY_SIZES = st.builds(Sizes, st.integers(1, 999), st.integers(1, 9), st.integers(1, 128))
MHA = st.builds(lambda heads, dim: Sizes(heads * dim, heads, dim), st.integers(1, 9), st.integers(1, 128))
SIZES = ANY_SIZES | MHA
NUMBER_BYTES = st.sampled_from([Fraction(1, 2), Fraction(1), Fraction(2), Fraction(4), Fraction(8)])
SHAPES = st.builds(
    lambda sizes, number_bytes, block_size: CacheShape(CacheShape.of(sizes).ratios, block_size).with_forms(
        lossy_ratios(sizes, number_bytes)
    ),
    SIZES,
    NUMBER_BYTES,
    st.integers(1, 64),
)


def test_every_form_has_one_entry_in_order_and_a_class_in_the_engine() -> None:
    """A third form is an entry here and a file there."""
    assert [entry.form for entry in FORM_ENTRIES] == list(CacheForm)[1:]
    assert len({entry.name for entry in FORM_ENTRIES}) == len(FORM_ENTRIES) == NUM_FORMS - 1
    config = from_hf(OPT)
    decoder = Decoder(config, random_weights(config, torch.Generator().manual_seed(0)))
    assert list(form_blocks(decoder, CacheStorage(config, 1, decoder.dtype, decoder.device), 0)) == list(CacheForm)[1:]


@given(SIZES, NUMBER_BYTES)
def test_ratios_are_bytes_over_those_of_kv(sizes: Sizes, number_bytes: Fraction) -> None:
    """Hidden states are hidden_size numbers, of at least two bytes.

    int8 is a byte for each value and two for the scale of each head.
    Keys are hidden_size numbers and an eighth more, where K has as many values as a hidden state; nowhere else.
    """
    kv_bytes = 2 * sizes.num_kv_heads * sizes.head_dim * number_bytes
    ratios = {entry.name: entry.ratio(sizes, number_bytes) for entry in FORM_ENTRIES}
    bytes_of = {name: ratio and ratio * kv_bytes for name, ratio in ratios.items()}
    int8 = 2 * sizes.num_kv_heads * (sizes.head_dim + 2)
    hidden = sizes.hidden_size * max(Fraction(2), number_bytes)
    is_mha = sizes.num_kv_heads * sizes.head_dim == sizes.hidden_size
    keys = (sizes.hidden_size + math.ceil(sizes.hidden_size / 8)) * number_bytes if is_mha else None
    assert bytes_of == {"kv": kv_bytes, "hidden": hidden, "int8": int8, "keys": keys}
    assert (CacheForm.KEYS in lossy_ratios(sizes, number_bytes)) == (keys is not None)


@given(SIZES)
def test_lossy_forms_are_not_in_a_model_s_shape(sizes: Sizes) -> None:
    """They come in by name alone."""
    assert all(not CacheShape.of(sizes).offers(entry.form) for entry in FORM_ENTRIES if entry.is_lossy)


@given(SHAPES)
def test_what_takes_less_than_kv_is_offered(shape: CacheShape) -> None:
    """And KV always; the lightest is last."""
    assert shape.offered[0] == CacheForm.KV
    assert list(shape.offered[1:]) == [form for form in CacheForm if form > 1 and shape.ratios.get(form, 1) < 1]
    assert shape.is_offered.tolist() == [shape.offers(form) for form in CacheForm]
    weights = [{CacheForm.KV: Fraction(1), **shape.ratios}[CacheForm(form)] for form in shape.heaviest_first]
    assert weights == sorted(weights, reverse=True) and sorted(shape.heaviest_first) == list(shape.offered)


@given(SHAPES, st.lists(st.integers(0, 500), min_size=1))
def test_blocks_are_whole_and_as_few_as_hold_the_tokens(shape: CacheShape, num_tokens: list[int]) -> None:
    """In each form on offer: no block less would do, by bytes; and 0 blocks where there is no form."""
    tokens = np.array(num_tokens)
    for form in shape.offered:
        ratio = {CacheForm.KV: Fraction(1), **shape.ratios}[CacheForm(form)]
        per_block = shape.tokens_per_block(form)
        assert per_block * ratio <= shape.block_size < (per_block + 1) * ratio
        blocks = shape.blocks_by_form(tokens, np.full(len(tokens), form))
        assert (blocks == shape.blocks(tokens, form)).all()
        assert (blocks * per_block >= tokens).all() and ((blocks - 1) * per_block < tokens).all()
        assert form == CacheForm.KV or (blocks <= shape.blocks(tokens, CacheForm.KV)).all()
    assert not shape.blocks_by_form(tokens * 0, np.full(len(tokens), NONE)).any()


@given(SHAPES)
def test_conversions_are_between_forms_on_offer(shape: CacheShape) -> None:
    """Hidden states become K and V, these int8 or keys, and keys K and V; int8 becomes nothing."""
    to_kv = {(CacheForm.HIDDEN, CacheForm.KV), (CacheForm.KEYS, CacheForm.KV)}
    expected = to_kv | {(CacheForm.KV, CacheForm.INT8), (CacheForm.KV, CacheForm.KEYS)}
    for source in CacheForm:
        for target in CacheForm:
            allowed = (source, target) in expected and shape.offers(source) and shape.offers(target)
            assert shape.conversions[source, target] == allowed


def test_tables_show_lossy_forms_where_they_were_used() -> None:
    """KV and hidden states always."""
    names = [[entry.name for entry in shown_forms(by_form(kv=3, int8=count))] for count in (0, 1)]
    assert names == [["kv", "hidden"], ["kv", "hidden", "int8"]]


def test_sums_by_form_by_hand() -> None:
    """Amounts of the same form are added up."""
    assert sums_by_form(np.array([1, 3, 1]), np.array([2, 5, 4])) == by_form(kv=6, int8=5)


@pytest.mark.parametrize("ratio", [0.5, Fraction(0), Fraction(-1, 2), 1])
def test_a_ratio_is_a_fraction_above_0(ratio: object) -> None:
    """One message names the form and the value."""
    with pytest.raises(InputError, match=r"^ratios: .* of int8 is not accepted; a Fraction above 0 is$"):
        CacheShape({CacheForm.INT8: ratio})  # type: ignore[dict-item]


def test_a_block_holds_at_least_a_token() -> None:
    """Of KV."""
    with pytest.raises(InputError, match=r"^block_size: 0 is not accepted; at least 1 token is$"):
        CacheShape(block_size=0)
