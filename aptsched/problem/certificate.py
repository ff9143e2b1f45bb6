"""The Lagrangian bound of any multipliers, rounded up, and the selection that carries it."""

from __future__ import annotations

import math

import numpy as np

from aptsched.problem.batch_problem import BatchProblem
from aptsched.problem.exact_sum import UNIT_ROUNDOFF, exact_sum
from aptsched.problem.selection import Multipliers, Selection, served_positions
from aptsched.support.arrays import pairwise_sum, sum_of
from aptsched.support.checks import Bools, Floats, Ints
from aptsched.support.dot import dot

HUGE = 2**1023  # a limit beyond it counts as infinite, or for nothing at a multiplier of 0
SUBNORMAL = 4  # products, of limits and of the slack itself, that may each lose half of the smallest float


def certify(problem: BatchProblem, form: Ints, multipliers: Multipliers) -> Selection:
    """The selection of the given forms, [n], with its exact objective and the bound that the multipliers prove."""
    form = np.array(form, np.int64)
    form.setflags(write=False)
    at = served_positions(form, problem.num_forms)
    return Selection(
        form=form,
        objective_s=exact_sum(problem.values.T.take(at)),
        num_blocks=sum_of(problem.weights.T.take(at)),
        num_tokens=0 if problem.num_tokens is None else sum_of(problem.num_tokens.take(at % len(form))),
        multipliers=multipliers,
        bound_s=dual_bound(problem, multipliers),
    )


def dual_bound(problem: BatchProblem, multipliers: Multipliers) -> float:
    """The bound that `multipliers` prove, in seconds, rounded up; those of unlimited resources count as 0.

    It is never below the exact value: each term is rounded at most 6 times and numpy's pairwise sum at most 40 (it adds
    runs of 16 and 2**20 of them), each time by at most 2**-53 of what is added up, so that much is added. With
    multipliers of 0 only the exact sum (fsum) is rounded.
    """
    paid, resources = 0.0, 0
    for rate, limit in (
        (multipliers.per_block_s, problem.capacity),
        (multipliers.per_token_s, problem.max_tokens),
        (multipliers.per_seq_s, problem.max_seqs),
    ):
        if limit is not None and rate:
            paid, resources = paid + rate * float(min(limit, HUGE)), resources + 1
    values, fits = problem.values.T, None if problem.all_fit_alone() else problem.fits_alone().T
    if not resources:
        return sums(_best(problem, values.copy(), fits).tolist())[1]
    price = prices(problem, multipliers).T
    best = _best(problem, values - price, fits)
    sizes = np.abs(values)
    total = pairwise_sum(sizes, axis=None) if fits is None else dot(sizes.ravel(), fits.ravel())
    magnitude = paid + 3 * float(total)  # a price above 2 |value| leaves nothing to round, unless it must be paid
    if problem.required is not None:
        kept = price if fits is None else np.where(fits, price, 0.0)
        magnitude += float(kept[:, problem.required].sum())
    slack = 48 * UNIT_ROUNDOFF * magnitude + (values.size + SUBNORMAL) * math.ulp(0.0)
    return math.nextafter(paid + float(pairwise_sum(best)) + slack, math.inf)


def _best(problem: BatchProblem, reduced: Floats, fits: Bools | None) -> Floats:
    """The term of each request in the bound, [n]: the best of its reduced values, [k, n], that fit (None: all do).

    The reduced values are written over.
    """
    if fits is not None:
        np.putmask(reduced, ~fits, -np.inf)
    best: Floats = reduced[0]
    for row in reduced[1:]:
        np.maximum(best, row, out=best)
    if problem.required is None:
        return np.maximum(best, 0.0, out=best)
    return np.where(problem.required, best, np.maximum(best, 0.0))


@np.errstate(over="ignore")
def prices(problem: BatchProblem, multipliers: Multipliers) -> Floats:
    """The price of the resources that each form takes, [n, k], in seconds."""
    price = problem.weights.astype(np.float64)
    price *= multipliers.per_block_s
    if multipliers.per_token_s and problem.max_tokens is not None and problem.num_tokens is not None:
        price += (problem.num_tokens * multipliers.per_token_s)[:, None]
    if multipliers.per_seq_s and problem.max_seqs is not None:
        price += multipliers.per_seq_s
    return price


def sums(terms: list[float]) -> tuple[float, float]:
    """The exact sum, correctly rounded, and the smallest float that is not below it."""
    nearest = math.fsum(terms)
    return nearest, math.nextafter(nearest, math.inf) if math.fsum([*terms, -nearest]) > 0 else nearest
