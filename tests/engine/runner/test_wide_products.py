"""Products that are not rounded to 16 bits."""

from __future__ import annotations

import pytest
import torch

from devices import DEVICES
from engine.runner.forms.wide_products import two_terms, wide, wide_bmm

DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("are_wide", [False, True])
def test_a_product_has_the_digits_of_fp32(dtype: torch.dtype, are_wide: bool, device: str) -> None:
    """Whether its rows have 16 bits or more: it is that of float64 up to what fp32, or two terms of 16 bits, round."""
    generator = torch.Generator().manual_seed(0)
    rows = torch.randn(3, 5, 40, generator=generator).to(device, wide(dtype) if are_wide else dtype)
    matrices = torch.randn(3, 40, 7, generator=generator).to(device, dtype)
    found = wide_bmm(rows, matrices)
    assert found.dtype == wide(dtype)
    exact = torch.bmm(rows.double(), matrices.double())
    assert (found.double() - exact).abs().max() <= 2e-4 * exact.abs().max()


@pytest.mark.parametrize(("dtype", "rounded"), [(torch.bfloat16, 2.0**-16), (torch.float16, 2.0**-21)])
def test_two_terms_have_twice_the_digits(dtype: torch.dtype, rounded: float) -> None:
    """8 bits of bf16 become 16, and 11 of fp16 become 22, but for what is below its smallest number."""
    rows = torch.randn(2, 4, 50, generator=torch.Generator().manual_seed(1))
    terms = two_terms(rows, dtype)
    assert terms.dtype == dtype and terms.shape == (2, 8, 50)
    assert ((terms[:, :4].float() + terms[:, 4:].float() - rows).abs() <= rounded * rows.abs() + 2.0**-25).all()
