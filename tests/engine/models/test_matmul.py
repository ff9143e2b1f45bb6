"""Products with padded rows: the same numbers, from few kernels."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from engine.models.checkpoint import DTYPES
from engine.models.matmul import kernel_rows, multiply, packs, padded
from engine.models.weights import Linear


@pytest.mark.parametrize("dtype", DTYPES.values(), ids=DTYPES)
@pytest.mark.parametrize("activation", ["none", "relu"])
@pytest.mark.parametrize("rows", [0, 1, 2, 7, 8, 9, 16, 17, 31, 33, 100, 257, 1025])
def test_products_are_those_of_the_rows_given(rows: int, activation: str, dtype: torch.dtype) -> None:
    """Rows that are added to reach a number with a kernel leave no trace, packed or not."""
    generator = torch.Generator().manual_seed(rows)
    weight, bias, x = (torch.randn(shape, generator=generator).to(dtype) for shape in [(24, 16), (24,), (rows, 16)])
    expected = F.linear(x, weight, bias)
    result = multiply(Linear(weight, bias), activation)(x)
    assert result.shape == (rows, 24) and result.dtype == dtype and result.is_contiguous()
    torch.testing.assert_close(result, expected.relu() if activation == "relu" else expected)


@pytest.mark.parametrize("dtype", DTYPES.values(), ids=DTYPES)
def test_only_numbers_of_rows_with_kernels_are_multiplied(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where weights are packed, all numbers of rows up to 300 come to those of `kernel_rows`, in 16 bits as in 32."""
    if not packs(torch.device("cpu"), dtype):
        pytest.skip("oneDNN does not multiply in this dtype here")
    seen, product = set(), torch.ops.mkldnn._linear_pointwise.default

    def noted(x: torch.Tensor, *others: object) -> torch.Tensor:
        seen.add(len(x))
        result: torch.Tensor = product(x, *others)
        return result

    monkeypatch.setattr(torch.ops.mkldnn._linear_pointwise, "default", noted)
    times = multiply(Linear(torch.ones(3, 2, dtype=dtype)))
    for rows in range(1, 301):
        times(torch.ones(rows, 2, dtype=dtype))
    assert sorted(seen) == kernel_rows(300)


def test_rows_are_padded_to_few_numbers_and_by_little() -> None:
    for rows in range(5000):
        assert rows <= padded(rows) <= rows * 9 / 8, rows
        assert padded(padded(rows)) == padded(rows), rows
    assert [padded(rows) for rows in range(17)] == list(range(17))  # as decodes mostly have
    assert kernel_rows(20) == [*range(1, 17), 18, 20]
    assert len(kernel_rows(2048)) == 72
