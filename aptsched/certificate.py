"""The Lagrangian bound of any multipliers, rounded up, and the selection that carries it."""

from __future__ import annotations

import math

import numpy as np

from aptsched.checks import Floats, Ints
from aptsched.exact_sum import exact_sum
from aptsched.problem import BatchProblem
from aptsched.selection import Multipliers, Selection

UNIT_ROUNDOFF = 2.0**-53
HUGE = 2**1023  # a limit beyond it is paid for as infinite, or not at all


def certify(problem: BatchProblem, form: Ints, multipliers: Multipliers) -> Selection:
    """The selection of the given forms, [n], with its exact objective and the bound that the multipliers prove."""
    form = np.array(form, np.int64)
    form.flags.writeable = False
    served = (form > 0).nonzero()[0]
    chosen = served * problem.num_forms + (form.take(served) - 1)
    return Selection(
        form=form,
        objective_s=exact_sum(problem.values.take(chosen)),
        num_blocks=int(np.add.reduce(problem.weights.take(chosen))),
        num_tokens=0 if problem.num_tokens is None else int(np.add.reduce(problem.num_tokens.take(served))),
        multipliers=multipliers,
        bound_s=dual_bound(problem, multipliers),
    )


def dual_bound(problem: BatchProblem, multipliers: Multipliers) -> float:
    """The bound of `Multipliers`, in seconds, rounded up.

    Never below the exact value: each term is rounded at most 6 times and numpy's pairwise sum at most 40 (runs of 16
    and 2**20 of them), by 2**-53 of what is added up, and that much is added. With multipliers of 0 nothing is rounded
    but the exact sum (fsum).
    """
    limits = (problem.capacity, problem.max_tokens, problem.max_seqs)
    rates = (multipliers.per_block_s, multipliers.per_token_s, multipliers.per_seq_s)
    paid = [
        rate * float(min(limit, HUGE)) for rate, limit in zip(rates, limits, strict=True) if limit is not None and rate
    ]
    fits = problem.fits_alone()
    all_fit = bool(np.logical_and.reduce(fits, axis=None))
    values, price = problem.values, prices(problem, multipliers) if any(rates) else np.zeros_like(problem.values)
    reduced = values - price if any(rates) else values
    if not all_fit:
        values, price = np.where(fits, values, 0.0), np.where(fits, price, 0.0)
        reduced = np.where(fits, reduced, -np.inf)
    best: Floats = reduced[:, 0]
    for column in range(1, problem.num_forms):
        best = np.maximum(best, reduced[:, column])
    best = (
        np.maximum(best, 0.0) if problem.required is None else np.where(problem.required, best, np.maximum(best, 0.0))
    )
    if not paid:
        return sum_rounded_up(best.tolist())
    magnitude = sum(paid) + 3 * float(
        np.add.reduce(np.abs(values), axis=None)
    )  # a price above 2 |value| leaves nothing to round
    if problem.required is not None:
        magnitude += float(price[problem.required].sum())
    slack = 48 * UNIT_ROUNDOFF * magnitude + problem.values.size * math.ulp(0.0)
    return math.nextafter(sum(paid) + float(np.add.reduce(best)) + slack, math.inf)


def prices(problem: BatchProblem, multipliers: Multipliers) -> Floats:
    """What the resources of each form are worth, [n, k], in seconds."""
    with np.errstate(over="ignore"):
        price: Floats = np.multiply(problem.weights, multipliers.per_block_s, dtype=np.float64)
        if multipliers.per_token_s and problem.num_tokens is not None:
            price += (problem.num_tokens * multipliers.per_token_s)[:, None]
        if multipliers.per_seq_s:
            price += multipliers.per_seq_s
    return price


def sum_rounded_up(terms: list[float]) -> float:
    """The smallest float that is not below the exact sum."""
    total = math.fsum(terms)
    return math.nextafter(total, math.inf) if math.fsum([*terms, -total]) > 0 else total
