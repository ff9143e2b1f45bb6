"""Questions about arrays, of any layout."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from aptsched.support.arrays import FEW, above_0, all_of, any_of, count_of, equal, largest_of, smallest_of, sum_of

STEPS = st.sampled_from([1, 2, -1])


@given(flags=arrays(np.bool_, array_shapes(min_dims=1, max_dims=2, min_side=0, max_side=9)), step=STEPS)
def test_numpy_says_the_same_of_flags(flags: npt.NDArray[np.bool_], step: int) -> None:
    """Whole arrays, transposed ones and every other row; empty ones too."""
    for each in (flags, flags.T, flags[::step]):
        assert (any_of(each), all_of(each)) == (bool(each.any()), bool(each.all()))
        assert count_of(each) == int(each.sum())


@given(numbers=arrays(np.int64, array_shapes(min_dims=1, max_dims=2, max_side=9)), step=STEPS)
def test_numpy_says_the_same_of_numbers(numbers: npt.NDArray[np.int64], step: int) -> None:
    """Largest and smallest, of any layout, as whole numbers of Python; which are above 0."""
    for each in (numbers, numbers.T, numbers[::step]):
        assert (largest_of(each), smallest_of(each)) == (each.max(), each.min())
        assert type(largest_of(each)) is type(smallest_of(each)) is int
        assert np.array_equal(above_0(each.clip(0)), each > 0)


@pytest.mark.parametrize("question", [largest_of, smallest_of])
def test_none_is_largest_of_no_numbers(question: Callable[[npt.NDArray[np.int64]], int]) -> None:
    """Of an empty array there is no answer, as with numpy."""
    with pytest.raises(ValueError, match="empty"):
        question(np.empty(0, np.int64))


@given(
    numbers=arrays(np.int64, st.integers(0, 2 * FEW), elements=st.integers(-(2**50), 2**50)),
    other=arrays(np.int64, st.integers(0, 3), elements=st.integers(0, 1)),
    step=STEPS,
)
def test_sums_and_equality(numbers: npt.NDArray[np.int64], other: npt.NDArray[np.int64], step: int) -> None:
    """Few numbers or many, every other one too: their sum is a whole number of Python, and they are equal to a copy."""
    each = numbers[::step]
    assert (sum_of(each), type(sum_of(each))) == (each.sum(), int)
    assert equal(each, each.copy())
    assert equal(other, np.zeros_like(other)) == (not other.any())
