"""Questions about arrays, of any layout."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from aptsched.support.arrays import above_0, all_of, any_of, count_of, largest_of, smallest_of, sum_of

STEPS = st.sampled_from([1, 2, -1])


@given(flags=arrays(np.bool_, array_shapes(min_dims=1, max_dims=2, min_side=0, max_side=9)), step=STEPS)
def test_numpy_says_the_same_of_flags(flags: npt.NDArray[np.bool_], step: int) -> None:
    """Whole arrays, transposed ones and every other row; empty ones too."""
    for each in (flags, flags.T, flags[::step]):
        assert (any_of(each), all_of(each)) == (bool(each.any()), bool(each.all()))
        assert count_of(each) == int(each.sum())


@given(numbers=arrays(np.int64, array_shapes(min_dims=1, max_dims=2, max_side=9)), step=STEPS)
def test_numpy_says_the_same_of_numbers(numbers: npt.NDArray[np.int64], step: int) -> None:
    """Largest, smallest and the sum along the first axis, of any layout; as whole numbers of Python."""
    for each in (numbers, numbers.T, numbers[::step]):
        assert (largest_of(each), smallest_of(each)) == (each.max(), each.min())
        assert type(largest_of(each)) is type(smallest_of(each)) is int
        assert np.array_equal(sum_of(each), each.sum(axis=0))
        assert np.array_equal(above_0(each.clip(0)), each > 0)


@pytest.mark.parametrize("question", [largest_of, smallest_of])
def test_none_is_largest_of_no_numbers(question: Callable[[npt.NDArray[np.int64]], int]) -> None:
    """Of an empty array there is no answer, as with numpy."""
    with pytest.raises(ValueError, match="empty"):
        question(np.empty(0, np.int64))
