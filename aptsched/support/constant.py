"""Constant arrays, kept: decisions need the same ones again and again."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from aptsched.support.checks import Bools, Ints


@lru_cache(maxsize=16)
def constant(value: int, n: int) -> Ints:
    """The same value n times; read-only."""
    array = np.full(n, value, np.int64)
    array.setflags(write=False)
    return array


@lru_cache(maxsize=16)
def all_true(n: int) -> Bools:
    """True n times; read-only."""
    array = np.ones(n, np.bool_)
    array.setflags(write=False)
    return array
