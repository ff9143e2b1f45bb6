"""The Lagrangian bound of any multipliers, rounded up, and the selection that carries it."""

from __future__ import annotations

import math

import numpy as np

from aptsched.problem.batch_problem import BatchProblem, Options
from aptsched.problem.exact_sum import UNIT_ROUNDOFF, exact_sum
from aptsched.problem.selection import Multipliers, Selection
from aptsched.support.arrays import pairwise_sum
from aptsched.support.checks import Bools, Floats, Ints
from aptsched.support.compiled import compiled
from aptsched.support.constant import all_true

HUGE = 2**1023  # a limit beyond it counts as infinite, or for nothing at a multiplier of 0
MOST = 2**62  # more than any sum of counts
SUBNORMAL = 4  # products, of limits and of the slack itself, that may each lose half of the smallest float
NONE_REQUIRED = all_true(0)


def certify(problem: BatchProblem, form: Ints, multipliers: Multipliers) -> Selection:
    """The selection of the given forms, [n], with its exact objective and the bound that the multipliers prove."""
    form, terms = np.array(form, np.int64), np.empty(len(form))
    form.setflags(write=False)
    num_served, num_blocks, num_tokens = chosen(problem.options, form, terms)
    objective_s, bound_s = exact_sum(terms[:num_served]), dual_bound(problem, multipliers)
    return Selection(form, objective_s, num_blocks, num_tokens, multipliers, bound_s)


def chosen_values(problem: BatchProblem, form: Ints) -> Floats:
    """The values of the forms of the requests served, one after the other."""
    terms = np.empty(len(form))
    num_served, _, _ = chosen(problem.options, form, terms)
    return terms[:num_served]


@compiled
def chosen(options: Options, form: Ints, terms: Floats) -> tuple[int, int, int]:
    """Writes the values of the forms chosen, [n], one after the other; how many these are, their blocks and tokens."""
    (values, weights, tokens, _), num_served, num_blocks, num_tokens = options, 0, 0, 0
    for i in range(len(form)):  # without branches, which nobody could predict
        served = min(form[i], 1)
        row = form[i] - served
        terms[num_served] = values[row][i]
        num_served += served
        num_blocks += weights[row][i] * served
        num_tokens += tokens[i] * served
    return num_served, num_blocks, num_tokens


def dual_bound(problem: BatchProblem, multipliers: Multipliers) -> float:
    """The bound that `multipliers` prove, in seconds, rounded up; those of unlimited resources count as 0.

    It is never below the exact value: each term is rounded at most 6 times and numpy's pairwise sum at most 40 (it adds
    runs of 16 and 2**20 of them), each time by at most 2**-53 of what is added up, so that much is added. With
    multipliers of 0 only the exact sum (fsum) is rounded.
    """
    per_block_s, per_token_s, per_seq_s, max_tokens = multipliers.per_block_s, 0.0, 0.0, MOST
    paid = per_block_s * float(min(problem.capacity, HUGE))
    if problem.max_tokens is not None:
        per_token_s, max_tokens = multipliers.per_token_s, min(problem.max_tokens, MOST)
        paid += per_token_s * float(min(problem.max_tokens, HUGE))
    if problem.max_seqs is not None:
        per_seq_s = multipliers.per_seq_s
        paid += per_seq_s * float(min(problem.max_seqs, HUGE))
    required = NONE_REQUIRED if problem.required is None else problem.required
    rates, limits, best = (
        (per_block_s, per_token_s, per_seq_s),
        (min(problem.capacity, MOST), max_tokens),
        np.empty(problem.num_requests),
    )
    sizes = best_terms(problem.options, required, limits, rates, best)
    if not any(rates):
        return sums(best.tolist())[1]
    slack = 48 * UNIT_ROUNDOFF * (paid + sizes) + (problem.values.size + SUBNORMAL) * math.ulp(0.0)
    return math.nextafter(paid + float(pairwise_sum(best)) + slack, math.inf)


@compiled
def best_terms(
    options: Options, required: Bools, limits: tuple[int, int], rates: tuple[float, float, float], best: Floats
) -> float:
    """Writes the term of each request in the bound, [n]; how large all that is rounded there can be, in seconds.

    The term is the best, over the forms that fit alone, of the value less the price of what the form takes; at least 0
    for a request that is not required. A price above twice the value leaves nothing to round, unless it must be paid.
    """
    (values, weights, num_tokens, _), (capacity, max_tokens), (per_block_s, per_token_s, per_seq_s) = (
        options,
        limits,
        rates,
    )
    sizes, paid, forms, has_required = 0.0, 0.0, range(len(values)), len(required) > 0
    for i in range(len(best)):
        tokens, must = num_tokens[i], has_required and required[i]
        term, tokens_s = -math.inf if must else 0.0, tokens * per_token_s
        if tokens <= max_tokens:
            for form in forms:
                weight, value = weights[form][i], values[form][i]
                if weight <= capacity:
                    price = weight * per_block_s + tokens_s + per_seq_s
                    sizes += value if value > 0 else -value
                    if must:
                        paid += price
                    term = max(term, value - price)
        best[i] = term
    return 3 * sizes + paid


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
