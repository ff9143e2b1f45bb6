"""The Lagrangian bound of any multipliers, rounded up, and the selection that carries it."""

from __future__ import annotations

import math

import numpy as np

from aptsched.problem.batch_problem import BatchProblem
from aptsched.problem.exact_sum import UNIT_ROUNDOFF, exact_sum
from aptsched.problem.selection import Multipliers, Selection
from aptsched.support.arrays import pairwise_sum
from aptsched.support.checks import Bools, Floats, Ints
from aptsched.support.compiled import compiled, row_by_row
from aptsched.support.constant import all_true, constant

Tables = tuple[Floats, Ints, Ints]
HUGE = 2**1023  # a limit beyond it counts as infinite, or for nothing at a multiplier of 0
MOST = 2**62  # more than any sum of counts
SUBNORMAL = 4  # products, of limits and of the slack itself, that may each lose half of the smallest float
NO_TOKENS, NONE_REQUIRED = constant(0, 0), all_true(0)


def certify(problem: BatchProblem, form: Ints, multipliers: Multipliers) -> Selection:
    """The selection of the given forms, [n], with its exact objective and the bound that the multipliers prove."""
    form = np.array(form, np.int64)
    form.setflags(write=False)
    tables, terms = by_form(problem), np.empty(len(form))
    num_served, num_blocks, all_tokens = chosen(*tables, form, terms)
    return Selection(
        form=form,
        objective_s=exact_sum(terms[:num_served]),
        num_blocks=num_blocks,
        num_tokens=all_tokens,
        multipliers=multipliers,
        bound_s=dual_bound(problem, multipliers, tables),
    )


def by_form(problem: BatchProblem) -> Tables:
    """Values and weights with a row for each form, [k, n], and tokens, [n], or none where they are not counted."""
    tokens = NO_TOKENS if problem.num_tokens is None else problem.num_tokens
    return row_by_row(problem.values.T), row_by_row(problem.weights.T), tokens


def chosen_values(problem: BatchProblem, form: Ints) -> Floats:
    """The values of the forms of the requests served, one after the other."""
    terms = np.empty(len(form))
    num_served, _, _ = chosen(*by_form(problem), form, terms)
    return terms[:num_served]


@compiled
def chosen(values: Floats, weights: Ints, num_tokens: Ints, form: Ints, terms: Floats) -> tuple[int, int, int]:
    """Writes the values of the forms chosen, [n], one after the other; how many these are, their blocks and tokens."""
    num_served, num_blocks, all_tokens = 0, 0, 0
    for i in range(len(form)):
        if form[i] > 0:
            terms[num_served] = values[form[i] - 1][i]
            num_served += 1
            num_blocks += weights[form[i] - 1][i]
            if len(num_tokens) > 0:
                all_tokens += num_tokens[i]
    return num_served, num_blocks, all_tokens


def dual_bound(problem: BatchProblem, multipliers: Multipliers, tables: Tables | None = None) -> float:
    """The bound that `multipliers` prove, in seconds, rounded up; those of unlimited resources count as 0.

    `tables` are those of `by_form`, where they are at hand.

    It is never below the exact value: each term is rounded at most 6 times and numpy's pairwise sum at most 40 (it adds
    runs of 16 and 2**20 of them), each time by at most 2**-53 of what is added up, so that much is added. With
    multipliers of 0 only the exact sum (fsum) is rounded.
    """
    limits = (problem.capacity, problem.max_tokens, problem.max_seqs)
    given = (multipliers.per_block_s, multipliers.per_token_s, multipliers.per_seq_s)
    per_block_s, per_token_s, per_seq_s = rates = [
        0.0 if limit is None else rate for rate, limit in zip(given, limits, strict=True)
    ]
    paid = 0.0
    for rate, limit in zip(rates, limits, strict=True):
        if rate and limit is not None:
            paid += rate * float(min(limit, HUGE))
    values, weights, num_tokens = by_form(problem) if tables is None else tables
    required = NONE_REQUIRED if problem.required is None else problem.required
    max_tokens = MOST if problem.max_tokens is None else min(problem.max_tokens, MOST)
    best, capacity = np.empty(problem.num_requests), min(problem.capacity, MOST)
    sizes = best_terms(
        values, weights, num_tokens, required, capacity, max_tokens, per_block_s, per_token_s, per_seq_s, best
    )
    if not any(rates):
        return sums(best.tolist())[1]
    slack = 48 * UNIT_ROUNDOFF * (paid + sizes) + (values.size + SUBNORMAL) * math.ulp(0.0)
    return math.nextafter(paid + float(pairwise_sum(best)) + slack, math.inf)


@compiled
def best_terms(
    values: Floats,
    weights: Ints,
    num_tokens: Ints,
    required: Bools,
    capacity: int,
    max_tokens: int,
    per_block_s: float,
    per_token_s: float,
    per_seq_s: float,
    best: Floats,
) -> float:
    """Writes the term of each request in the bound, [n]; how large all that is rounded there can be, in seconds.

    The term is the best, over the forms that fit alone, of the value less the price of what the form takes; at least 0
    for a request that is not required. A price above twice the value leaves nothing to round, unless it must be paid.
    """
    sizes, paid, forms = 0.0, 0.0, range(len(values))
    has_tokens, has_required = len(num_tokens) > 0, len(required) > 0
    for i in range(len(best)):
        tokens, must = num_tokens[i] if has_tokens else 0, has_required and required[i]
        term, tokens_s = -math.inf if must else 0.0, tokens * per_token_s
        if tokens <= max_tokens:
            for form in forms:
                weight, value = weights[form][i], values[form][i]
                if weight <= capacity:
                    price = weight * per_block_s + tokens_s + per_seq_s
                    sizes += value if value > 0 else -value
                    if must:
                        paid += price
                    if value - price > term:
                        term = value - price
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
