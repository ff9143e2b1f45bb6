"""Algorithm 1 of Apt-Serve as printed, for comparison."""

from __future__ import annotations

import numpy as np

from aptsched.problem.batch_problem import BatchProblem
from aptsched.problem.certificate import certify
from aptsched.problem.selection import Multipliers, Selection
from aptsched.support.errors import InputError


def algorithm1(problem: BatchProblem) -> Selection:
    """Algorithm 1 word for word, on an instance of definition 1; the last increment's price gives the certificate.

    Increments by falling gain per block, a hidden form counted as exactly half the blocks: none -> hidden, then
    hidden -> KV, or at once none -> KV where the second step would gain more per block. The first increment that does
    not fit ends it; that request's KV form, alone, is the answer if it is worth more than what was taken.

    The printed algorithm does not look whether the single request fits, nor at whole blocks: `num_blocks` of the
    selection, in whole blocks, may exceed the capacity.

    Source: Apt-Serve (SIGMOD 2025), appendix "Greedy Scheduling", Algorithm 1.
    """
    _check_definition_1(problem)
    (pending, hidden), blocks = problem.values.T, problem.weights[:, 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        first, second = 2 * hidden / blocks, 2 * (pending - hidden) / blocks
        at_once = second > first
        gain = np.concatenate([np.where(at_once, pending / blocks, first), np.where(at_once, -np.inf, second)])
    halves = np.concatenate([np.where(at_once, 2, 1) * blocks, blocks])  # half blocks
    form = np.concatenate([np.where(at_once, 1, 2), np.ones(len(blocks), np.int64)])
    order = np.argsort(-gain, kind="stable")
    order = order[gain[order] > 0]
    taken = int(np.searchsorted(np.cumsum(halves[order]), 2 * problem.capacity, side="right"))
    n = len(blocks)
    chosen = np.zeros(n, np.int64)
    chosen[order[:taken] % n] = form[order[:taken]]
    if taken == len(order):
        return certify(problem, chosen, Multipliers())
    left_out = int(order[taken])
    served = np.flatnonzero(chosen)
    if pending[left_out % n] > problem.values[served, chosen[served] - 1].sum():
        chosen = np.zeros(n, np.int64)
        chosen[left_out % n] = 1
    return certify(problem, chosen, Multipliers(per_block_s=max(0.0, float(gain[left_out]))))


def _check_definition_1(problem: BatchProblem) -> None:
    limited = [name for name in ("max_tokens", "max_seqs", "required") if getattr(problem, name) is not None]
    if limited:
        raise InputError(f"{limited[0]}: Algorithm 1 as printed knows no such limit; None is accepted")
    if problem.num_forms != 2 or (problem.weights[:, 1] != -(-problem.weights[:, 0] // 2)).any():
        raise InputError("weights: Algorithm 1 as printed needs two forms, KV and hidden, of m and ceil(m / 2) blocks")
