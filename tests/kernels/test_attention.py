"""Attention by kernels is attention by the plain path, for any mix of entries, on the same blocks."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("triton")

from aptsched.scheduling.forms import CacheForm
from devices import KERNEL_DEVICE
from engine.runner.forms.hidden import HiddenBlocks
from engine.runner.forms.int8 import Int8Blocks
from engine.runner.forms.kv import KVBlocks
from engine.runner.kernels.form_kernels import FormKernels
from engine.runner.kernels.hidden import HiddenKernels
from engine.runner.kernels.kv import Int8Kernels, KVKernels
from engine.runner.kernels.mix import Mix
from engine.runner.kernels.table import can_run
from mixes import LAYER, LLAMA, OPT, Case, drawn_mix, fill_with_tokens, made, plain_outcome

pytestmark = pytest.mark.skipif(not can_run(KERNEL_DEVICE, torch.float32), reason="TRITON_INTERPRET=1 is not set")
# Architecture; query heads, KV heads, size of a head; hidden size. Head and hidden sizes are no powers of two.
SHAPES: list[tuple[dict[str, Any], tuple[int, int, int], int]] = [
    (OPT, (4, 4, 12), 48),
    (LLAMA, (4, 4, 12), 48),
    (LLAMA, (6, 2, 20), 60),
    (LLAMA, (4, 4, 32), 80),
]
TOLERANCE = 1e-5


def kernels(case: Case, form: CacheForm, num_programs: int) -> FormKernels:
    """The kernels of a form; contexts are split up to so many programs."""
    blocks, config = case.forms[form], case.decoder.config
    if isinstance(blocks, KVBlocks):
        return KVKernels(config, blocks, num_programs)
    if isinstance(blocks, Int8Blocks):
        return Int8Kernels(config, blocks, torch.float32, num_programs)
    assert isinstance(blocks, HiddenBlocks)
    return HiddenKernels(case.decoder, blocks)


def attended(case: Case, by: FormKernels, mix: Mix, q: torch.Tensor) -> torch.Tensor:
    """What new tokens with these queries attend to."""
    attend = by.attender(mix)
    case.storage.upload.send()
    return attend(LAYER, q)


entries = st.lists(
    st.tuples(st.sampled_from([1, 1, 1, 2, 5, 17]), st.sampled_from([0, 1, 15, 16, 31, 70])), min_size=1, max_size=3
)


@settings(max_examples=15)
@given(
    shape=st.sampled_from(SHAPES),
    form=st.sampled_from([CacheForm.KV, CacheForm.INT8, CacheForm.HIDDEN]),
    sizes=entries,
    absorb_up_to=st.sampled_from([0, 4, 1000]),
    seed=st.integers(0, 99),
)
def test_any_mix_attends_as_by_the_plain_path(
    shape: tuple[dict[str, Any], tuple[int, int, int], int],
    form: CacheForm,
    sizes: list[tuple[int, int]],
    absorb_up_to: int,
    seed: int,
) -> None:
    """Decodes, chunks and prefills in each form, absorbed and rebuilt, with shared heads, whatever else blocks hold."""
    case = made(*shape, absorb_up_to, seed)
    blocks = case.forms[form]
    sizes = sorted(sizes)
    counts, cached = ([each[part] for each in sizes] for part in (0, 1))
    mix = drawn_mix(np.random.default_rng(seed), counts, cached, blocks.tokens_per_block)
    rng = torch.Generator().manual_seed(seed)
    fill_with_tokens(case, form, mix, rng)
    num_heads = case.decoder.config.num_heads
    heads = torch.randn(mix.num_tokens, num_heads + 2, case.decoder.config.head_dim, generator=rng)
    q = heads.to(KERNEL_DEVICE)[:, :num_heads]  # as where Q, K and V are one product
    expected = plain_outcome(case, blocks, mix, q)
    found = attended(case, kernels(case, form, 1), mix, q)
    assert (found - expected).abs().max() <= TOLERANCE * max(1.0, float(expected.abs().max()))


@pytest.mark.parametrize("form", [CacheForm.KV, CacheForm.INT8])
@pytest.mark.parametrize("cached", [300, 511, 600])
def test_a_context_that_is_split_is_joined_again(form: CacheForm, cached: int) -> None:
    """Of one decode beside a short one, whose later parts have no tokens at all."""
    case = made(LLAMA, (4, 2, 16), 48, 0, 3)
    blocks = case.forms[form]
    mix = drawn_mix(np.random.default_rng(3), [1, 1], [5, cached], blocks.tokens_per_block)
    rng = torch.Generator().manual_seed(3)
    fill_with_tokens(case, form, mix, rng)
    q = torch.randn(2, 4, 16, generator=rng).to(KERNEL_DEVICE)
    found = attended(case, kernels(case, form, 100), mix, q)
    assert (found - plain_outcome(case, blocks, mix, q)).abs().max() <= TOLERANCE


@pytest.mark.parametrize("shape", SHAPES[:2])
@pytest.mark.parametrize("form", [CacheForm.KV, CacheForm.INT8, CacheForm.HIDDEN])
def test_nothing_beyond_the_last_token_is_read(
    form: CacheForm, shape: tuple[dict[str, Any], tuple[int, int, int], int]
) -> None:
    """Blocks that hold NaN wherever no token lies give what blocks of zeros give."""
    case = made(*shape, 3, 0)
    blocks = case.forms[form]
    mix = drawn_mix(np.random.default_rng(1), [1, 2, 9], [33, 4, 0], blocks.tokens_per_block)
    rng, q = torch.Generator(), torch.randn(12, 4, 12, generator=torch.Generator().manual_seed(2)).to(KERNEL_DEVICE)
    outcomes = []
    for content in (0.0, math.nan):
        case.storage.blocks.fill_(content)
        fill_with_tokens(case, form, mix, rng.manual_seed(5))
        outcomes.append(attended(case, kernels(case, form, 1), mix, q))
    assert torch.equal(*outcomes)
