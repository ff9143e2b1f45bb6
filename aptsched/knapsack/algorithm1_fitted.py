"""Algorithm 1 of Apt-Serve where its answer has to fit: in whole blocks, and within the budgets of an iteration."""

from __future__ import annotations

import numpy as np

from aptsched.problem.batch_problem import BatchProblem
from aptsched.problem.certificate import certify
from aptsched.problem.selection import Multipliers, Selection
from aptsched.support.checks import Bools, Floats, Ints
from aptsched.support.errors import InputError


def algorithm1_fitted(problem: BatchProblem) -> Selection:
    """Algorithm 1 on one form, or on KV and hidden; the price of the first increment left out gives the certificate.

    Increments are taken by falling gain per block, as `algorithm1` does, until the blocks of one do not fit; that
    request alone is the answer if it is worth more than all that was taken. Where memory alone is scarce and every
    form fits alone, that is at least half of the optimum.

    Raises
    ------
    InputError
        There are more than two forms, or required requests.

    Notes
    -----
    Source: Apt-Serve (SIGMOD 2025), appendix "Greedy Scheduling", Algorithm 1. What it leaves open is settled so:

    - A step counts the whole blocks that it takes. A hidden form that saves none is no step of its own.
    - A form that does not fit alone is left out first, so a request whose hidden form alone fits has no step to KV,
      and the single request is taken in the best of its forms that fit.
    - A request whose tokens exceed what is left of the token budget is passed over, as is any once the batch has its
      sequences; neither ends the algorithm.
    - Steps from hidden to KV that gain nothing are taken where blocks are left.
    """
    if problem.num_forms > 2:
        raise InputError(f"values: {problem.num_forms} forms are not accepted; KV alone, or KV and hidden, are")
    if problem.required is not None:
        raise InputError("required: Algorithm 1 knows no required requests; None is accepted")
    num_requests = problem.num_requests
    gain, blocks, form = _increments(problem)
    order = np.argsort(-gain, kind="stable")
    order = order[(gain[order] > 0) | ((gain[order] == 0) & (order >= num_requests))]
    order = order[_within_budgets(problem, order)[order % num_requests]]
    num_taken = int(np.searchsorted(np.cumsum(blocks[order]), problem.capacity, side="right"))
    chosen = np.zeros(num_requests, np.int64)
    for step in (order[:num_taken] < num_requests, order[:num_taken] >= num_requests):
        at = order[:num_taken][step]
        chosen[at % num_requests] = form[at]
    if num_taken == len(order):
        return certify(problem, chosen, Multipliers())
    left_out = int(order[num_taken])
    alone = _alone(problem, left_out % num_requests)
    served = np.flatnonzero(chosen)
    if problem.values[left_out % num_requests, alone - 1] > problem.values[served, chosen[served] - 1].sum():
        chosen[:] = 0
        chosen[left_out % num_requests] = alone
    return certify(problem, chosen, Multipliers(per_block_s=max(0.0, float(gain[left_out]))))


def _increments(problem: BatchProblem) -> tuple[Floats, Ints, Ints]:
    """Gain per block, blocks, and form reached, [2 n]: of first steps, to hidden or at once to KV, then of second ones.

    A step that does not exist gains minus infinity.
    """
    fits, value_s, weights = problem.fits_alone(), problem.values, problem.weights
    kv_s, hidden_s = value_s[:, 0], value_s[:, -1]
    kv, hidden = weights[:, 0], weights[:, -1]
    begins_hidden = fits[:, -1] & (hidden < kv)  # never where KV is the only form
    upgrades = begins_hidden & fits[:, 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        at_once_s = np.where(fits[:, 0], kv_s / kv, -np.inf)
        first_s = np.where(begins_hidden, hidden_s / hidden, -np.inf)
        second_s = np.where(upgrades, (kv_s - hidden_s) / (kv - hidden), -np.inf)
    at_once = fits[:, 0] & ~(upgrades & (first_s >= second_s))
    gain = np.concatenate([np.where(at_once, at_once_s, first_s), np.where(at_once, -np.inf, second_s)])
    blocks = np.concatenate([np.where(at_once, kv, hidden), kv - hidden])
    return gain, blocks, np.concatenate([np.where(at_once, 1, problem.num_forms), np.ones_like(kv)])


def _within_budgets(problem: BatchProblem, order: Ints) -> Bools:
    """The requests, [n], that tokens and sequences admit if they begin in this order of increments."""
    begins = order[order < problem.num_requests]
    if problem.num_tokens is not None and problem.max_tokens is not None:
        begins = begins[_taken_or_passed(problem.num_tokens[begins], problem.max_tokens)]
    admitted = np.zeros(problem.num_requests, np.bool_)
    admitted[begins[: problem.max_seqs]] = True
    return admitted


def _taken_or_passed(amounts: Ints, budget: int) -> Bools:
    """Which of the amounts, [n], are taken if each is, in order, that fits in what is left of the budget."""
    taken, left = np.zeros(len(amounts), np.bool_), np.flatnonzero(amounts <= budget)
    while len(left):
        num_more = int(np.searchsorted(np.cumsum(amounts[left]), budget, side="right"))
        more, left = left[:num_more], left[num_more:]
        taken[more] = True
        budget -= int(amounts[more].sum())
        left = left[amounts[left] <= budget]
    return taken


def _alone(problem: BatchProblem, request: int) -> int:
    """The form of the highest value that fits alone."""
    return int(np.where(problem.fits_alone()[request], problem.values[request], -np.inf).argmax()) + 1
