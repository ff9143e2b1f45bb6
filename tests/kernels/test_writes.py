"""Kernels leave in blocks what the plain path leaves there, to the last bit."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("triton")

from aptsched.scheduling.forms import CacheForm
from devices import KERNEL_DEVICE
from engine.runner.forms.form_blocks import FormBlocks
from engine.runner.kernels.form_kernels import FormKernels
from engine.runner.kernels.table import can_run, form_kernels
from mixes import LAYER, OPT, Case, drawn_mix, made, new_tokens

pytestmark = pytest.mark.skipif(not can_run(KERNEL_DEVICE, torch.float32), reason="TRITON_INTERPRET=1 is not set")


def written(case: Case, by: FormBlocks | FormKernels, new: torch.Tensor, seed: int, form: CacheForm) -> torch.Tensor:
    """The bytes of all blocks after one mix was written into blocks of zeros."""
    mix = drawn_mix(np.random.default_rng(seed), [1, 12, 3], [40, 0, 13], case.forms[form].tokens_per_block)
    case.storage.blocks.zero_()
    write = by.writer(mix.table, *new_tokens(mix))
    case.storage.upload.send()
    write(LAYER, new.to(KERNEL_DEVICE))
    return case.storage.blocks.view(torch.uint8).clone()


@settings(max_examples=8)
@given(st.sampled_from([CacheForm.KV, CacheForm.INT8, CacheForm.HIDDEN]), st.integers(0, 999), st.floats(-20, 20))
def test_new_tokens_are_written_as_by_the_plain_path(form: CacheForm, seed: int, exponent: float) -> None:
    """At any size of values, those in 8 bits with their scales too."""
    case = made(OPT, (4, 4, 12), 48, 0, 0)
    shape = (48,) if form == CacheForm.HIDDEN else (2, 4, 12)
    new = 2.0**exponent * torch.randn(16, *shape, generator=torch.Generator().manual_seed(seed))
    expected = written(case, case.forms[form], new, seed, form)
    kernels = form_kernels(case.decoder, case.forms, True)
    assert torch.equal(written(case, kernels[form], new, seed, form), expected)


@pytest.mark.parametrize("value", [math.nan, math.inf, 3e38, 0.0, 1e-30])
def test_values_that_8_bits_cannot_hold_are_written_as_by_the_plain_path(value: float) -> None:
    """What is not finite gives a scale of NaN; what is too large is clipped."""
    case = made(OPT, (4, 4, 12), 48, 0, 0)
    new = torch.randn(16, 2, 4, 12, generator=torch.Generator().manual_seed(1))
    new[3, 1, 2, 5] = value
    kernels = form_kernels(case.decoder, case.forms, True)
    read = []
    for by in (case.forms[CacheForm.INT8], kernels[CacheForm.INT8]):
        written(case, by, new, 4, CacheForm.INT8)
        table = np.arange(40)[None]
        held = case.forms[CacheForm.INT8].tokens_per_block
        reader = case.forms[CacheForm.INT8].reader(table, np.array([40 * held]))
        case.storage.upload.send()
        read.append(reader(LAYER).clone())
    assert torch.equal(read[0].isnan(), read[1].isnan())
    assert torch.equal(read[0].nan_to_num(), read[1].nan_to_num())
