"""The optima of small instances by enumeration of all selections, a whole batch at once, in whole numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from aptsched.support.checks import Bools, Ints
from proofs.small_instances import InstanceBatch

NEVER = -(2**62)
BEYOND = 2**2100  # more than the largest float in units of the least one


@dataclass(frozen=True, eq=False)
class Optima:
    """Optimum and overload of each instance of a batch, [b]; values are in the batch's units.

    Attributes
    ----------
    feasible : bool array, [b]
    optimum : int array, [b]
        Meaningless where not feasible.
    overload : int array, [b, 3]
        The least blocks, tokens and sequences by which a selection that serves the required requests exceeds.
    num_limits : int array, [b]
        How many limits would be exceeded if all that fits alone were served: the d of the guarantee 1 / (d + 1).
    base : int array, [b]
        Value of the required requests, each in its lightest form (of several the most valuable).
    """

    feasible: Bools
    optimum: Ints
    overload: Ints
    num_limits: Ints
    base: Ints


def enumerate_all(batch: InstanceBatch) -> Optima:
    """Try each of the (k + 1)**n selections of each instance."""
    size, n, k = batch.values.shape
    none = np.zeros((size, n), np.int64)
    must = np.zeros((size, n), np.bool_) if batch.required is None else batch.required
    serves_required = _sums(np.zeros((size, n, k), np.int64), unserved=must) == 0
    tokens = none if batch.num_tokens is None else batch.num_tokens
    uses = (batch.weights, np.repeat(tokens[:, :, None], k, axis=2), np.ones((size, n, k), np.int64))
    limits = (batch.capacity, batch.max_tokens, batch.max_seqs)
    feasible, overload = serves_required.copy(), np.zeros((size, 3), np.int64)
    for resource, (use, limit) in enumerate(zip(uses, limits, strict=True)):
        if limit is not None:
            excess = _sums(use) - limit[:, None]
            feasible &= excess <= 0
            overload[:, resource] = np.where(serves_required, excess, 2**62).min(axis=1).clip(0)
    optimum = np.where(feasible, _sums(batch.values), _never(batch.values)).max(axis=1)
    return Optima(feasible.any(axis=1), optimum, overload, _num_limits(batch, tokens), _base(batch, must))


def _sums(per_form: Ints, unserved: npt.NDArray[np.generic] | None = None) -> Ints:
    """The sum over requests for every choice of forms, [b, (k + 1)**n], from [b, n, k]; not being served counts 0."""
    size, n, _ = per_form.shape
    first = np.zeros((size, n), np.int64) if unserved is None else unserved
    options = np.concatenate([first[:, :, None], per_form], axis=2)
    sums = np.zeros((size, 1), np.int64)
    for request in range(n):
        sums = (sums[:, :, None] + options[:, request, None, :]).reshape(size, -1)
    return sums


def _num_limits(batch: InstanceBatch, tokens: Ints) -> Ints:
    fits = batch.weights <= batch.capacity[:, None, None]
    if batch.max_tokens is not None:
        fits &= (tokens <= batch.max_tokens[:, None])[:, :, None]
    served = fits.any(axis=2)
    short: Ints = (np.where(fits, batch.weights, 0).max(axis=2).sum(axis=1) > batch.capacity).astype(np.int64)
    if batch.max_tokens is not None:
        short += (tokens * served).sum(axis=1) > batch.max_tokens
    if batch.max_seqs is not None:
        short += served.sum(axis=1) > batch.max_seqs
    return short


def _base(batch: InstanceBatch, must: Bools) -> Ints:
    lightest = batch.weights == batch.weights.min(axis=2, keepdims=True)
    base: Ints = (np.where(lightest, batch.values, _never(batch.values)).max(axis=2) * must).sum(axis=1)
    return base


def _never(values: Ints) -> int:
    """A number less than any sum of such values."""
    return NEVER if values.dtype == np.int64 else NEVER * BEYOND
