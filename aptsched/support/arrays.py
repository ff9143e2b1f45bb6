"""Questions about small arrays, as the hot path asks them: of tens of numbers, where numpy's own way costs more.

A decision asks dozens of them. Microseconds of one call over 30 numbers (numpy 2.4, CPython 3.11):

    flags.any(), flags.all()   0.67    any_of, all_of           0.05
    np.count_nonzero(flags)    0.16    count_of                 0.10
    array.sum()                0.70    sum_of                   0.40
    first == second            0.25    equal (of all)           0.10
    counts > 0                 0.41    above_0                  0.21
    array.max(), array.min()   0.71    largest_of, smallest_of  0.19

The same reason speaks for `flags.nonzero()[0]` (0.10) in place of `np.flatnonzero(flags)` (0.73). Of a table's rows,
[n, m], `rows.take(at, axis=0)` (0.25) is faster than `rows[at]` (0.97); of one axis `array[at]` (0.08) is faster than
`array.take(at)` (0.16), up to some hundred numbers.
"""

from __future__ import annotations

import numpy as np

from aptsched.support.checks import Bools, Ints

FEW = 50  # numbers up to which a list of them is added up faster
pairwise_sum = np.add.reduce  # of floats, along the first axis: `array.sum` calls it by two functions written in Python


def sum_of(array: Ints) -> int:
    """The sum of an array, [n]."""
    return sum(array.tolist()) if len(array) <= FEW else int(np.add.reduce(array))


def equal(first: Ints, second: Ints) -> bool:
    """Whether two arrays of one length have the same numbers: asked of the bytes."""
    return first.tobytes() == second.tobytes()


def any_of(flags: Bools) -> bool:
    """Whether some are True: asked of the bytes."""
    return 1 in flags.tobytes()


def all_of(flags: Bools) -> bool:
    """Whether none is False."""
    return 0 not in flags.tobytes()


def count_of(flags: Bools) -> int:
    """How many are True."""
    return flags.tobytes().count(1)


def above_0(counts: Ints) -> Bools:
    """Whether each count, of at least 0, is above 0: for integers the conversion is faster than a comparison."""
    return counts.astype(np.bool_)


def largest_of(array: Ints) -> int:
    """The largest of one number or more, of any shape: `argmax` needs none of the set-up of `max`."""
    return array.item(array.argmax())


def smallest_of(array: Ints) -> int:
    """The smallest of one number or more."""
    return array.item(array.argmin())
