"""Scalar products on this thread alone: BLAS shares long ones out, and on a busy machine that waits for the others."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

ALONE = 10_000  # OpenBLAS keeps a product of so many terms to itself; another core may answer after 12 ms


def dot(first: npt.NDArray[Any], second: npt.NDArray[Any]) -> float:
    """The sum of the products of two arrays, [n], in pieces that are not shared out."""
    count = len(first)
    if count <= ALONE:
        return float(first.dot(second))
    starts = range(0, count, ALONE)
    return sum(float(first[at : at + ALONE].dot(second[at : at + ALONE])) for at in starts)
