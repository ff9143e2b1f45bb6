"""Random small instances at the ends of what is accepted: values of any exponent, weights of any size, costly bases."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from aptsched.support.checks import MAX_COUNT, Bools, Floats, Ints
from proofs.small_instances import MAX_REQUESTS, InstanceBatch

UNIT = 2.0**-1074  # every float is a whole multiple of it
EXPONENTS = (-1074, 940)  # of values: 2**-1074 is the least float above 0, and beyond 2**940 none are accepted
BITS = (1, 3, 10, 20, 24, 26, 30, 32)  # of weights and tokens
TOO_LARGE = 0.02  # share of the batches with some weight beyond what is accepted, up to 2**62


def extreme_batch(rng: np.random.Generator, size: int) -> InstanceBatch:
    """A batch as from `small_instances.random_batch`, of one to five requests in one to three forms, but extreme."""
    n, k = int(rng.integers(1, MAX_REQUESTS + 1, 2).max()), int(rng.integers(1, 4))
    shape = (size, n, k)
    values, weights = VALUES[rng.integers(len(VALUES))](rng, shape), _counts(rng, shape)
    if rng.random() < 0.3:
        values = np.where(rng.random(shape) < 0.3, -values, values)
    num_tokens = max_tokens = max_seqs = required = None
    if rng.random() < 0.3:
        num_tokens = _counts(rng, (size, n))
        max_tokens = _limit(rng, num_tokens)
    if rng.random() < 0.25:
        max_seqs = rng.integers(0, n + 2, size)
    if rng.random() < 0.35:
        required = rng.random((size, n)) < 0.4
        values = _with_costly_bases(rng, values, weights, required)
    capacity = _limit(rng, weights.max(axis=2))
    if rng.random() < TOO_LARGE:
        weights[:, 0, 0] = rng.integers(MAX_COUNT + 1, 2**62, size)
    return InstanceBatch(in_units(values), UNIT, weights, capacity, num_tokens, max_tokens, max_seqs, required)


def in_units(values: Floats) -> Ints:
    """Floats in units of 2**-1074, as Python's whole numbers, of the same shape."""
    whole: Ints = np.array([_in_units(value) for value in values.ravel().tolist()], object).reshape(values.shape)
    return whole


def _in_units(value: float) -> int:
    numerator, denominator = value.as_integer_ratio()
    return numerator * (2**1074 // denominator)


def _with_costly_bases(rng: np.random.Generator, values: Floats, weights: Ints, required: Bools) -> Floats:
    """The values, with those of some required requests' lightest forms set far below 0."""
    lightest = weights == weights.min(axis=2, keepdims=True)
    costly = lightest & required[:, :, None] & (rng.random(required.shape) < 0.6)[:, :, None]
    return np.where(costly, -np.ldexp(rng.random(values.shape), int(rng.integers(0, EXPONENTS[1]))), values)


def _counts(rng: np.random.Generator, shape: tuple[int, ...]) -> Ints:
    """Whole numbers up to some power of two: any, all near simple fractions of it, or multiples of one number."""
    most, kind = 2 ** int(rng.choice(BITS)), rng.random()
    if kind < 0.4:
        return rng.integers(0, most + 1, shape)
    if kind < 0.9:
        near = rng.integers(1, 4, shape) * most // rng.integers(1, 5, shape) + rng.integers(-2, 3, shape)
        return np.where(rng.random(shape) < 0.2, rng.integers(0, 6, shape), near).clip(0, MAX_COUNT)
    unit = 2 ** int(rng.integers(0, 20))
    multiples: Ints = np.minimum(rng.integers(0, most // unit + 2, shape), MAX_COUNT // unit) * unit
    return multiples


def _limit(rng: np.random.Generator, use: Ints) -> Ints:
    """A limit near what some of the requests need; a fraction of what all need; 0; or more than all need."""
    size = len(use)
    some = (use * (rng.random(use.shape) < 0.6)).sum(axis=1) + rng.integers(-2, 3, size)
    part = (use.sum(axis=1) * rng.uniform(0.1, 1.05, size)).astype(np.int64)
    which = rng.random(size)
    limit: Ints = np.select(
        [which < 0.03, which < 0.06, which < 0.6], [np.zeros_like(some), some * 0 + 2**62, some], part
    )
    return np.maximum(limit, 0)


def _of_any_size(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    return np.asarray(np.ldexp(rng.random(shape), rng.integers(*EXPONENTS, shape, endpoint=True)))


def _of_few_sizes(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Values around two or three exponents, whole numbers and others, so that large ones hide small ones."""
    exponents = rng.integers(*EXPONENTS, 3)
    if rng.random() < 0.5:  # not so far from one another
        exponents = exponents[0] // 2 + rng.integers(0, 80, 3)
    numbers = rng.integers(1, 16, shape) if rng.random() < 0.5 else rng.uniform(0, 16, shape)
    return np.asarray(np.ldexp(numbers, np.minimum(rng.choice(exponents, shape), EXPONENTS[1] - 4)))


def _subnormal(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    whole = rng.integers(0, 2 ** int(rng.choice([1, 3, 20, 52])), shape, endpoint=True)
    return np.asarray(whole * UNIT)


def _close(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Values of 53 bits that only differ in the last few."""
    least = rng.integers(0, 2 ** int(rng.choice([1, 4, 12])), shape)
    return np.asarray(np.ldexp(1.0 + least * 2.0**-52, int(rng.integers(EXPONENTS[0] + 53, EXPONENTS[1]))))


def _equal(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    return np.full(shape, _of_any_size(rng, (1,)))


def _ordinary(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    return np.where(rng.random(shape) < 0.5, rng.integers(0, 17, shape), rng.uniform(0, 12, shape))


VALUES: list[Callable[[np.random.Generator, tuple[int, ...]], Floats]] = [
    *(_of_any_size, _of_few_sizes, _subnormal, _close, _equal, _ordinary, _ordinary)
]
