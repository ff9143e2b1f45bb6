"""Builds a batch-composition problem from the offered forms, and answers it at once where all requests fit."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np

from aptsched.problem.batch_problem import BatchProblem
from aptsched.problem.certificate import sums
from aptsched.problem.selection import Multipliers, Selection
from aptsched.scheduling.view import View
from aptsched.support.arrays import all_of, largest_of, sum_of
from aptsched.support.checks import MAX_COUNT, Bools, Floats, Ints
from aptsched.support.constant import constant

Array = TypeVar("Array", Floats, Ints)
Select = Callable[[BatchProblem], Selection]

FREE = Multipliers()  # where no resource is short: then the bound is the sum of all values
NOT_OFFERED = MAX_COUNT  # blocks: what does not fit alone is in no selection and no bound


def next_blocks(view: View, num_tokens: Ints, form: int) -> Ints:
    """Blocks of so many tokens and one more, [r]; without the one more where the tokens alone fill the whole pool."""
    per_block = view.cache.per_block[form]
    blocks: Ints = num_tokens // per_block
    blocks += 1
    full = view.num_blocks * per_block
    if len(num_tokens) and largest_of(num_tokens) >= full:
        blocks -= num_tokens == full
    return blocks


def forms_table(value_s: Floats, charges_s: Floats, blocks: Ints, offered: Bools) -> tuple[Floats, Ints]:
    """Values and weights of the forms, [r, f], in the order of `CacheForm`, from KV on.

    Parameters
    ----------
    value_s : float array, [r]
        Values without charges.
    charges_s : float array, [f, r]
        What is charged for each form.
    blocks : int array, [f, r]
        Blocks of each request in each form.
    offered : bool array, [f, r]
        Whether a form is offered to a request.
    """
    return (value_s - charges_s).T, np.where(offered, blocks, NOT_OFFERED).T


def compose(problem: BatchProblem, select: Select) -> Selection:
    """The answer of `select`; where all requests fit together in their best forms, that is the answer without it."""
    if problem.num_forms > 1 and sum_of(np.minimum.reduce(problem.weights.T)) > problem.capacity:
        return select(problem)  # the usual case: not even the lightest forms fit together
    form = best_forms(problem)
    values, weights = chosen(problem.values, form), chosen(problem.weights, form)
    num_blocks = sum_of(weights)
    num_tokens = 0 if problem.num_tokens is None else sum_of(problem.num_tokens)
    if not (fit_together(problem, num_blocks, num_tokens) and all_wanted(problem, values)):
        return select(problem)
    return all_served(form, values, num_blocks, num_tokens)


def all_served(form: Ints, values: Floats, num_blocks: int, num_tokens: int) -> Selection:
    """The selection that serves all requests in their best forms, `form`, given that these fit together."""
    objective_s, bound_s = sums(values.tolist())
    return Selection(form, objective_s, num_blocks, num_tokens, FREE, bound_s)


def best_forms(problem: BatchProblem) -> Ints:
    """The most valuable form of each request that fits alone, [n]; read-only."""
    if problem.num_forms == 1:
        return constant(1, problem.num_requests)
    best: Ints = np.where(problem.fits_alone(), problem.values, -np.inf).argmax(axis=1) + 1
    best.setflags(write=False)
    return best


def chosen(array: Array, form: Ints) -> Array:
    """From a column for each form, the entry of each row in the column of its own form, [n]."""
    return array[:, 0] if array.shape[1] == 1 else array[np.arange(len(form)), form - 1]


def fit_together(problem: BatchProblem, num_blocks: int, num_tokens: int) -> bool:
    """Whether all requests, which take so many blocks and tokens together, are within the capacity and the budgets."""
    within = num_blocks <= problem.capacity and (problem.max_tokens is None or num_tokens <= problem.max_tokens)
    return within and (problem.max_seqs is None or problem.num_requests <= problem.max_seqs)


def all_wanted(problem: BatchProblem, values: Floats) -> bool:
    """Whether each request is required, or its value, [n], is above 0."""
    if problem.required is None:
        return all_of(values > 0)
    return all_of(problem.required) or all_of(problem.required | (values > 0))
