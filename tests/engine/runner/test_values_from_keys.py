"""V from K: exact whatever the matrices, and said where rounding of K would spoil it."""

from __future__ import annotations

import math

import pytest
import torch

from engine.models.weights import Linear
from engine.runner.forms.values_from_keys import ValuesFromKeys, values_from_keys

WIDTH = 32


def projection(seed: int, scales: torch.Tensor | None = None) -> Linear:
    """A random matrix in float64 with a bias, of these singular values where they are given."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(WIDTH, WIDTH, generator=generator, dtype=torch.float64)
    if scales is not None:
        left, _, right = torch.linalg.svd(weight)
        weight = left * scales @ right
    return Linear(weight, torch.randn(WIDTH, generator=generator, dtype=torch.float64))


def k_and_v(key: Linear, value: Linear, num_tokens: int = 500) -> tuple[torch.Tensor, torch.Tensor]:
    """K without its bias, and V, of random inputs, [t, WIDTH] each."""
    assert value.bias is not None
    x = torch.randn(num_tokens, WIDTH, generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    return x @ key.weight.T, x @ value.weight.T + value.bias


def read(found: ValuesFromKeys, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    """V, of which only the kept numbers are known beside K."""
    return k @ found.through.T + (v @ found.kept) @ found.kept.T + found.constant


@pytest.mark.parametrize("num_kept", [0, 1, 4])
@pytest.mark.parametrize("seed", range(3))
def test_v_follows_from_k_and_what_is_kept(seed: int, num_kept: int) -> None:
    """Up to what makes W_k invertible, a part in 1e13, which the amplification multiplies."""
    key, value = projection(seed), projection(seed + 10)
    found = values_from_keys(key, value, num_kept)
    k, v = k_and_v(key, value)
    assert (read(found, k, v) - v).abs().max() <= 1e-11 * max(1.0, found.amplification)
    assert torch.allclose(found.kept.T @ found.kept, torch.eye(num_kept, dtype=torch.float64))


def test_a_matrix_that_is_singular_in_as_many_directions_as_are_kept_is_no_fault() -> None:
    """What K does not have of V is kept; one direction more, and rounding of K would be all that is read."""
    key, value = projection(1, torch.tensor([1.0] * 28 + [0.0] * 4, dtype=torch.float64)), projection(2)
    found = values_from_keys(key, value, 4)
    k, v = k_and_v(key, value)
    assert found.amplification < 3 and (read(found, k, v) - v).abs().max() < 1e-8
    assert values_from_keys(key, value, 3).amplification > 1e8


def test_the_amplification_by_hand() -> None:
    """W_k = diag(1, 1/8) and W_v = 1: V is K times 1 and 8. |W_k|^2 = 65/64, |W_v|^2 = 2; |through| = 1 without 8."""
    key, value = Linear(torch.tensor([[1.0, 0.0], [0.0, 0.125]])), Linear(torch.eye(2))
    assert values_from_keys(key, value, 0).amplification == pytest.approx(math.sqrt((1 + 64) * (1 + 1 / 64)) / 2)
    found = values_from_keys(key, value, 1)
    assert found.amplification == pytest.approx(math.sqrt(1 + 1 / 64) / 2)
    assert torch.allclose(found.through, torch.tensor([[1.0, 0.0], [0.0, 0.0]], dtype=torch.float64), atol=1e-6)
    assert torch.allclose(found.kept.abs().flatten(), torch.tensor([0.0, 1.0], dtype=torch.float64), atol=1e-6)
    assert values_from_keys(Linear(torch.eye(2)), value, 0).amplification == pytest.approx(1.0)


@pytest.mark.parametrize("decay", [0.0, 1.0, 2.0, 4.0])
def test_the_directions_kept_are_near_the_best(decay: float) -> None:
    """What is left of V through K is at most a twentieth larger than the smallest that so few directions allow."""
    key, value = projection(5, torch.logspace(0, -decay, WIDTH, dtype=torch.float64)), projection(6)
    best = torch.linalg.svdvals(value.weight @ torch.linalg.inv(key.weight))[4:].norm()
    assert float(values_from_keys(key, value, 4).through.norm()) <= 1.05 * float(best)


@pytest.mark.parametrize("decay", [0.0, 1.0, 2.0])
def test_the_error_of_v_is_that_of_k_times_the_amplification(decay: float) -> None:
    """K with noise of a thousandth of its size: both errors over their sizes, for W_k well and badly conditioned."""
    key, value = projection(3, torch.logspace(0, -decay, WIDTH, dtype=torch.float64)), projection(4)
    value = Linear(value.weight, torch.zeros(WIDTH, dtype=torch.float64))
    found = values_from_keys(key, value, 4)
    k, v = k_and_v(key, value, 20000)
    noise = torch.randn(k.shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    size = 1e-3 * k.square().mean().sqrt()
    error = (read(found, k + size * noise, v) - v).square().mean().sqrt() / v.square().mean().sqrt()
    assert float(error) == pytest.approx(1e-3 * found.amplification, rel=0.05)


@pytest.mark.parametrize("bad", [math.nan, math.inf, 0.0])
def test_weights_that_are_no_numbers_or_nothing_are_not_inverted(bad: float) -> None:
    """The amplification is inf, for either matrix."""
    broken, whole = Linear(torch.full((2, 2), bad)), Linear(torch.eye(2))
    assert values_from_keys(broken, whole, 1).amplification == math.inf
    assert values_from_keys(whole, broken, 1).amplification == math.inf
