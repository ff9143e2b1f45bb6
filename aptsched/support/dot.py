"""Scalar products on the calling thread alone: BLAS splits long ones among threads, which on a busy machine is slow."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

ALONE = 10_000  # OpenBLAS computes up to so many terms on one thread; a second thread may answer after 12 ms


def dot(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> float:
    """The sum of the products of two arrays, [n], in pieces too short for BLAS to split."""
    count = len(first)
    if count <= ALONE:
        return float(first.dot(second))
    starts = range(0, count, ALONE)
    return sum(float(first[at : at + ALONE].dot(second[at : at + ALONE])) for at in starts)
