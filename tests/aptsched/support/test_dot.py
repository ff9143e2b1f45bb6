"""Scalar products in pieces."""

from __future__ import annotations

import math

import numpy as np
import pytest

from aptsched.support.dot import ALONE, dot


@pytest.mark.parametrize("count", [0, 1, ALONE, ALONE + 1, 3 * ALONE + 7])
def test_pieces_add_up_to_the_whole(count: int) -> None:
    """Whole numbers exactly, also against flags; floats to what rounding leaves."""
    rng = np.random.default_rng(count)
    whole, flags, floats = rng.integers(0, 2**20, count).astype(float), rng.random(count) < 0.5, rng.random(count)
    assert dot(whole, flags) == whole[flags].sum() and dot(whole, np.ones(count)) == whole.sum()
    assert math.isclose(dot(floats, floats), math.fsum((floats * floats).tolist()), rel_tol=1e-12)
