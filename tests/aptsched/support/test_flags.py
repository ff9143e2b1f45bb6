"""Questions about bool arrays, of any layout."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from aptsched.support.flags import all_of, any_of, count_of


@given(
    flags=arrays(np.bool_, array_shapes(min_dims=1, max_dims=2, min_side=0, max_side=9)),
    step=st.sampled_from([1, 2, -1]),
)
def test_numpy_says_the_same(flags: npt.NDArray[np.bool_], step: int) -> None:
    """Whole arrays, transposed ones and every other row; empty ones too."""
    for each in (flags, flags.T, flags[::step]):
        assert (any_of(each), all_of(each)) == (bool(each.any()), bool(each.all()))
        assert count_of(each) == int(each.sum())
