"""Products with padded rows: the same numbers, from few kernels."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from engine.models.matmul import kernel_rows, multiply, padded
from engine.models.weights import Linear


@pytest.mark.parametrize("activation", ["none", "relu"])
@pytest.mark.parametrize("rows", [0, 1, 2, 7, 8, 9, 16, 17, 31, 33, 100, 257, 1025])
def test_products_are_those_of_the_rows_given(rows: int, activation: str) -> None:
    generator = torch.Generator().manual_seed(rows)
    weight, bias = torch.randn(24, 16, generator=generator), torch.randn(24, generator=generator)
    x = torch.randn(rows, 16, generator=generator)
    expected = F.linear(x, weight, bias)
    result = multiply(Linear(weight, bias), activation)(x)
    assert result.shape == (rows, 24) and result.is_contiguous()
    torch.testing.assert_close(result, expected.relu() if activation == "relu" else expected)


def test_rows_are_padded_to_few_numbers_and_by_little() -> None:
    for rows in range(5000):
        assert rows <= padded(rows) <= rows * 9 / 8, rows
        assert padded(padded(rows)) == padded(rows), rows
    assert [padded(rows) for rows in range(17)] == list(range(17))  # as decodes mostly have
    assert kernel_rows(20) == [*range(1, 17), 18, 20]
    assert len(kernel_rows(2048)) == 72
