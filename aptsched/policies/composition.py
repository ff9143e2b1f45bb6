"""Builds a batch-composition problem from the offered forms, and answers it at once where all requests fit."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from aptsched.problem.batch_problem import BatchProblem, Options
from aptsched.problem.certificate import MOST, NONE_REQUIRED, sums
from aptsched.problem.selection import Multipliers, Selection
from aptsched.scheduling.view import View
from aptsched.support.arrays import largest_of
from aptsched.support.checks import MAX_COUNT, Bools, Floats, Ints
from aptsched.support.compiled import compiled

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
    required = NONE_REQUIRED if problem.required is None else problem.required
    capacity, max_tokens, max_seqs = (
        MOST if limit is None else min(limit, MOST)
        for limit in (problem.capacity, problem.max_tokens, problem.max_seqs)
    )
    form, values = np.empty(problem.num_requests, np.int64), np.empty(problem.num_requests)
    num_blocks, num_tokens = best_forms(problem.options, required, capacity, max_tokens, max_seqs, form, values)
    if num_blocks < 0:
        return select(problem)
    form.setflags(write=False)
    return all_served(form, values, num_blocks, num_tokens)


def get_compose_ready() -> None:
    """Has what `compose` compiles compiled, or loaded from disk, before a decision waits for it."""
    one = BatchProblem([[1.0]], [[1]], 1)
    best_forms(one.options, NONE_REQUIRED, 1, 1, 1, np.empty(1, np.int64), np.empty(1))


@compiled
def best_forms(
    options: Options, required: Bools, capacity: int, max_tokens: int, max_seqs: int, form: Ints, value: Floats
) -> tuple[int, int]:
    """Writes the most valuable form of each request that fits alone, and its value, [n]; their blocks and tokens.

    These are -1 where not all fit together, or the value of one that is not required is not above 0.
    """
    (values, weights, tokens, _), num_blocks, num_tokens = options, 0, 0
    for i in range(len(form)):
        best = -1
        for option in range(len(values)):
            fits = weights[option][i] <= capacity and tokens[i] <= max_tokens
            if fits and (best < 0 or values[option][i] > values[best][i]):
                best = option
        if best < 0 or not (values[best][i] > 0 or (len(required) > 0 and required[i])):
            return -1, -1
        form[i], value[i] = best + 1, values[best][i]
        num_blocks += weights[best][i]
        num_tokens += tokens[i]
        if num_blocks > capacity or num_tokens > max_tokens or i >= max_seqs:
            return -1, -1
    return num_blocks, num_tokens


def all_served(form: Ints, values: Floats, num_blocks: int, num_tokens: int) -> Selection:
    """The selection that serves all requests in their best forms, `form`, given that these fit together."""
    objective_s, bound_s = sums(values.tolist())
    return Selection(form, objective_s, num_blocks, num_tokens, FREE, bound_s)
