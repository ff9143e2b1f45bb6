"""The exact optimum of small problems by enumeration, and exact checks of any answer. Nothing here rounds.

Test modules import it by name: pytest runs with `--import-mode=importlib` and `pythonpath = ["tests/support"]`.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import reduce
from typing import Any

import numpy as np
import numpy.typing as npt

from aptsched import BatchProblem, Multipliers, Selection


@dataclass(frozen=True)
class Best:
    """What enumeration finds.

    `optimum` and one `form` vector that reaches it; both None where the required requests do not fit, which they
    miss by `overload` blocks, tokens and sequences at least.
    """

    optimum: Fraction | None
    form: npt.NDArray[np.int64] | None
    overload: tuple[int, int, int]


def enumerate_all(problem: BatchProblem) -> Best:
    """Try each of the (k + 1)**n choices of forms."""
    n, k = problem.values.shape
    tokens = problem.num_tokens if problem.num_tokens is not None else np.zeros(n, np.int64)
    required = problem.required if problem.required is not None else np.zeros(n, bool)
    unserved = _sums(np.concatenate([required[:, None], np.zeros((n, k), bool)], axis=1).astype(np.int64))
    excess = [
        _sums(_options(used)) - min(limit, 2**50)
        for used, limit in (
            (problem.weights, problem.capacity),
            (np.repeat(tokens[:, None], k, axis=1), problem.max_tokens),
            (np.ones((n, k), np.int64), problem.max_seqs),
        )
        if limit is not None
    ]
    feasible = unserved == 0
    for over in excess:
        feasible &= over <= 0
    if not feasible.any():
        return Best(None, None, _smallest_overload(problem, unserved == 0))
    best = _argmax(problem.values, np.flatnonzero(feasible))
    form = np.array(np.unravel_index(best, (k + 1,) * n), np.int64)
    return Best(exact_objective(problem, form), form, (0, 0, 0))


def exact_objective(problem: BatchProblem, form: npt.NDArray[np.int64]) -> Fraction:
    """The exact sum of the values chosen."""
    return sum((Fraction(problem.values[i, f - 1].item()) for i, f in enumerate(form) if f), Fraction(0))


def exact_dual_bound(problem: BatchProblem, multipliers: Multipliers) -> Fraction:
    """The right-hand side of weak duality in rational arithmetic; every required request must have a form that fits."""
    per_block, per_token, per_seq = (
        Fraction(x) for x in (multipliers.per_block_s, multipliers.per_token_s, multipliers.per_seq_s)
    )
    tokens = [0] * problem.num_requests if problem.num_tokens is None else problem.num_tokens.tolist()
    required = [False] * problem.num_requests if problem.required is None else problem.required.tolist()
    bound = per_block * problem.capacity
    bound += per_token * (problem.max_tokens or 0) + per_seq * (problem.max_seqs or 0)
    for values, weights, token, must in zip(
        problem.values.tolist(), problem.weights.tolist(), tokens, required, strict=True
    ):
        if problem.max_tokens is not None and token > problem.max_tokens:
            assert not must
            continue
        shared = per_token * token + per_seq
        reduced = [
            Fraction(v) - per_block * w - shared for v, w in zip(values, weights, strict=True) if w <= problem.capacity
        ]
        bound += max(reduced if must else [*reduced, Fraction(0)])
    return bound


def num_constraints(problem: BatchProblem) -> int:
    """Number of shared constraints, d: those that could be short if all that fits alone were served."""
    fits = problem.weights <= problem.capacity
    if problem.max_tokens is not None and problem.num_tokens is not None:
        fits &= (problem.num_tokens <= problem.max_tokens)[:, None]
    served = fits.any(axis=1)
    d = int(np.where(fits, problem.weights, 0).max(axis=1).sum() > problem.capacity)
    if problem.max_tokens is not None and problem.num_tokens is not None:
        d += int(problem.num_tokens[served].sum() > problem.max_tokens)
    if problem.max_seqs is not None:
        d += int(served.sum() > problem.max_seqs)
    return d


def base_value(problem: BatchProblem) -> Fraction:
    """Value of the required requests, each in its lightest form (the most valuable of those)."""
    if problem.required is None:
        return Fraction(0)
    total = Fraction(0)
    for values, weights in zip(
        problem.values[problem.required].tolist(), problem.weights[problem.required].tolist(), strict=True
    ):
        lightest = min(weights)
        total += max(Fraction(v) for v, w in zip(values, weights, strict=True) if w == lightest)
    return total


def guarantee_kept(problem: BatchProblem, achieved: Fraction, optimum: Fraction) -> bool:
    """Whether `achieved` is at least 1 / (d + 1) of the optimum, above what the required requests bring anyway."""
    base = base_value(problem)
    return (achieved - base) * (num_constraints(problem) + 1) >= optimum - base


def check_selection(problem: BatchProblem, selection: Selection) -> Fraction:
    """All that must hold of any selection but its quality; returns its exact objective."""
    form = selection.form
    assert form.shape == (problem.num_requests,) and form.dtype == np.int64 and not form.flags.writeable
    assert 0 <= form.min() and form.max() <= problem.num_forms
    served = np.flatnonzero(form)
    chosen = (served, form[served] - 1)
    blocks = sum(problem.weights[chosen].tolist())
    tokens = 0 if problem.num_tokens is None else sum(problem.num_tokens[served].tolist())
    assert selection.num_blocks == blocks <= problem.capacity
    assert selection.num_tokens == tokens and (problem.max_tokens is None or tokens <= problem.max_tokens)
    assert selection.num_seqs == len(served) and (problem.max_seqs is None or len(served) <= problem.max_seqs)
    if problem.required is not None:
        assert form[problem.required].all(), "a required request is not served"
        served = served[~problem.required[served]]
    assert (problem.values[served, form[served] - 1] > 0).all(), "a form that gains nothing is chosen"
    objective = exact_objective(problem, form)
    assert selection.objective_s == float(objective)
    check_certificate(problem, selection.multipliers, selection.bound_s)
    return objective


def check_certificate(problem: BatchProblem, multipliers: Multipliers, bound_s: float) -> None:
    """The multipliers are legal, and the bound is what they prove: rounded up, but by no more than 1e-9."""
    assert multipliers.per_block_s >= 0 and multipliers.per_token_s >= 0 and multipliers.per_seq_s >= 0
    assert problem.max_tokens is not None or multipliers.per_token_s == 0
    assert problem.max_seqs is not None or multipliers.per_seq_s == 0
    exact = exact_dual_bound(problem, multipliers)
    bound = Fraction(bound_s)
    assert bound >= exact, f"bound {bound_s} is below what its multipliers prove by {float(exact - bound)}"
    scale = Fraction(float(np.abs(problem.values).sum())) + sum(
        Fraction(multiplier) * (limit or 0)
        for multiplier, limit in (
            (multipliers.per_block_s, problem.capacity),
            (multipliers.per_token_s, problem.max_tokens),
            (multipliers.per_seq_s, problem.max_seqs),
        )
    )
    assert bound <= exact + scale / 10**9 + Fraction(1, 2**1060)


def _options(per_form: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """[n, k] with a column of zeros before it: not served."""
    return np.concatenate([np.zeros((len(per_form), 1), per_form.dtype), per_form], axis=1)


def _sums(options: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The sum over requests for every choice, [(k + 1)**n]; the last request's choice varies fastest."""
    return reduce(lambda sums, option: np.add.outer(sums, option).ravel(), options)


def _argmax(values: npt.NDArray[np.float64], allowed: npt.NDArray[np.int64]) -> int:
    """The allowed choice of greatest exact sum."""
    exact = _scaled(values)
    if sum(abs(v) for row in exact for v in row) < 2**62:
        return int(allowed[np.argmax(_sums(_options(np.array(exact, np.int64)))[allowed])])
    about = _sums(_options(values))[allowed]
    error = values.size * 2.0**-52 * float(np.abs(values).sum())
    close = allowed[about >= about.max() - 2 * error]
    options = _options(np.array(exact, object))
    picks = np.unravel_index(close, (options.shape[1],) * len(options))
    sums: npt.NDArray[Any] = sum(option[pick] for option, pick in zip(options, picks, strict=True))
    return int(close[int(np.argmax(sums))])


def _scaled(values: npt.NDArray[np.float64]) -> list[list[int]]:
    """The values as integers, all multiplied by the same power of two."""
    ratios = [[v.as_integer_ratio() for v in row] for row in values.tolist()]
    common = max(denominator for row in ratios for _, denominator in row)
    return [[numerator * (common // denominator) for numerator, denominator in row] for row in ratios]


def _smallest_overload(problem: BatchProblem, serves_required: npt.NDArray[np.bool_]) -> tuple[int, int, int]:
    n, k = problem.values.shape
    over = [0, 0, 0]
    tokens = np.zeros(n, np.int64) if problem.num_tokens is None else problem.num_tokens
    each = (problem.weights, np.repeat(tokens[:, None], k, axis=1), np.ones((n, k), np.int64))
    for r, limit in enumerate((problem.capacity, problem.max_tokens, problem.max_seqs)):
        if limit is not None:
            over[r] = max(0, int(_sums(_options(each[r]))[serves_required].min()) - limit)
    return over[0], over[1], over[2]
