"""Random small instances of all kinds, in batches of one shape; their values are whole numbers of some unit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from aptsched.problem.batch_problem import BatchProblem
from aptsched.support.checks import Bools, Floats, Ints

MAX_REQUESTS = 5  # with up to 3 forms that makes at most 1,024 selections
UNITS = (1.0, 2.0**-4, 2.0**-40)
Tables = tuple[Ints, Ints]  # values and weights, [b, n, k] each


@dataclass(frozen=True, eq=False)
class InstanceBatch:
    """Instances of n requests in k forms, [b] of them.

    Attributes
    ----------
    values : int array, [b, n, k]
        In units of `unit` seconds, a power of two, so that the values of the problems are exact. Python's whole numbers
        (dtype object) where 64 bits are too few.
    unit : float
    weights : int array, [b, n, k]
    capacity : int array, [b]
    num_tokens : int array, [b, n], or None
    max_tokens, max_seqs : int array, [b], or None
    required : bool array, [b, n], or None
    """

    values: Ints
    unit: float
    weights: Ints
    capacity: Ints
    num_tokens: Ints | None = None
    max_tokens: Ints | None = None
    max_seqs: Ints | None = None
    required: Bools | None = None

    def __len__(self) -> int:
        """Number of instances, b."""
        return len(self.values)

    def problem(self, row: int) -> BatchProblem:
        """One of the instances."""
        values = self.values[row]
        return BatchProblem(
            values=values * self.unit if values.dtype == np.int64 else _seconds(values, int(1 / Fraction(self.unit))),
            weights=self.weights[row],
            capacity=int(self.capacity[row]),
            num_tokens=None if self.num_tokens is None else self.num_tokens[row],
            max_tokens=None if self.max_tokens is None else int(self.max_tokens[row]),
            max_seqs=None if self.max_seqs is None else int(self.max_seqs[row]),
            required=None if self.required is None else self.required[row],
        )


def _seconds(values: Ints, of_unit: int) -> Floats:
    """Whole numbers of any size as seconds, of which each has `of_unit` units."""
    seconds: Floats = np.frompyfunc(lambda whole: whole / of_unit, 1, 1)(values).astype(np.float64)
    return seconds


def random_batch(rng: np.random.Generator, size: int) -> InstanceBatch:
    """One to five requests in one to three forms, none to two side constraints, sometimes required requests.

    Some forms gain nothing, weigh nothing or do not fit; in some instances the required requests do not fit.
    """
    n, k = int(rng.integers(1, MAX_REQUESTS + 1, 2).max()), int(rng.integers(1, 4))
    values, weights = KINDS[rng.integers(len(KINDS))](rng, size, n, k)
    if rng.random() < 0.2:
        values = np.where(rng.random(values.shape) < 0.3, -values, values)
    if rng.random() < 0.2:
        weights = np.where(rng.random(weights.shape) < 0.3, 0, weights)
    num_tokens = max_tokens = max_seqs = required = None
    if rng.random() < 0.25:
        num_tokens = rng.integers(0, int(rng.choice([4, 40])), (size, n))
        max_tokens = (num_tokens.sum(axis=1) * rng.uniform(0.2, 1.1, size)).astype(np.int64)
    if rng.random() < 0.25:
        max_seqs = rng.integers(0, n + 2, size)
    if rng.random() < 0.25:
        required = rng.random((size, n)) < 0.3
    capacity = _capacity(rng, weights)
    return InstanceBatch(
        values, float(rng.choice(UNITS)), weights, capacity, num_tokens, max_tokens, max_seqs, required
    )


def _capacity(rng: np.random.Generator, weights: Ints) -> Ints:
    """A capacity: 0, the weight of some form (heavier ones do not fit), or a fraction of all weights."""
    size = len(weights)
    some = rng.permuted(weights.reshape(size, -1), axis=1)[:, 0]
    part = (weights.max(axis=2).sum(axis=1) * rng.uniform(0.1, 1.05, size)).astype(np.int64)
    which = rng.random(size)
    return np.where(which < 0.03, 0, np.where(which < 0.25, some, part))


def _ties(rng: np.random.Generator, size: int, n: int, k: int) -> Tables:
    shape = (size, n, k)
    return rng.integers(0, 7, shape), rng.integers(0, 7, shape)


def _wide(rng: np.random.Generator, size: int, n: int, k: int) -> Tables:
    """Values of up to 45 bits, so that slopes and prices are rounded."""
    shape = (size, n, k)
    return rng.integers(1, 2 ** int(rng.choice([8, 20, 45])), shape), rng.integers(
        1, 2 ** int(rng.choice([4, 10])), shape
    )


def _concave(rng: np.random.Generator, size: int, n: int, k: int) -> Tables:
    """Heavier forms are worth more, as caches are."""
    shape = (size, n, k)
    return np.sort(rng.integers(1, 300, shape))[..., ::-1], np.sort(rng.integers(1, 60, shape))[..., ::-1]


def _halves(rng: np.random.Generator, size: int, n: int, k: int) -> Tables:
    """Definition 1 in whole blocks: each form is half as heavy as the one before, with a penalty for each block."""
    blocks = rng.integers(1, 20, (size, n))
    pending, penalty = rng.integers(1, 400, (size, n)), rng.integers(0, 16, (size, 1))
    values = np.stack([pending - penalty * blocks * f for f in range(k)], axis=2)
    return values, np.stack([-(-blocks // 2**f) for f in range(k)], axis=2)


def _correlated(rng: np.random.Generator, size: int, n: int, k: int) -> Tables:
    """Value = weight + constant; with a constant of 0, all of one efficiency."""
    weights = rng.integers(1, 50, (size, n, k))
    return weights + int(rng.choice([0, 1, 10])), weights


def _giants(rng: np.random.Generator, size: int, n: int, k: int) -> Tables:
    """One huge request among tiny, more efficient ones: rounding the LP down is not enough."""
    weights = rng.integers(1, 4, (size, n, k))
    values = 64 * weights + rng.integers(1, 32, (size, n, k))
    weights[:, 0] = rng.integers(5, 1000, (size, 1))
    values[:, 0] = 64 * weights[:, 0] - rng.integers(0, 5, (size, 1))
    return values, weights


def _over_half(rng: np.random.Generator, size: int, n: int, k: int) -> Tables:
    """Weights just above or just below half of a number, the heavier ones a little more efficient."""
    half, over = rng.integers(3, 200, (size, 1, 1)), rng.random((size, n, k)) < 0.5
    weights = np.where(over, half + 1, half)
    return 64 * weights + over * rng.integers(1, 9, (size, n, k)), weights


KINDS: list[Callable[[np.random.Generator, int, int, int], Tables]] = [
    *(_ties, _wide, _concave, _halves, _correlated, _giants, _over_half)
]
