"""Checks whether the certificate of a selection holds, in exact rational arithmetic; no solver's word is trusted."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from aptsched.problem.batch_problem import BatchProblem
from aptsched.problem.instance import digest

SCALE = 2**1074  # of 1 / SCALE every float is a whole multiple: integers count these, and nothing is rounded


@dataclass(frozen=True)
class Certificate:
    """The exact figures that a check found; None where the fields that they follow from are malformed."""

    holds: bool
    objective: Fraction | None  # what the selection is worth, in seconds
    bound: Fraction | None  # what its multipliers prove, in seconds
    gap: Fraction | None  # (bound - objective) / max(|bound|, |objective|), 0 where both are 0
    reasons: tuple[str, ...]  # why it does not hold, each a sentence that names a field and its value


def check(problem: BatchProblem, selection: Any, sha256: object = None, exceeds: bool = False) -> Certificate:
    """Check every claim of a `Selection`, or of any object with its fields, of any type. O(n k).

    The selection must be feasible; objective, blocks and tokens must be those of its forms, and the gap that of its
    objective and bound. A bound above what the multipliers prove is a weaker claim, and true; one below is false. A
    digest is compared where one is given. A selection said to break a limit (`exceeds`) must do so, and has no gap.
    """
    forms = selection.form.tolist() if isinstance(selection.form, np.ndarray) else selection.form
    n, k = problem.values.shape
    known = isinstance(forms, (list, tuple)) and all(type(form) is int and 0 <= form <= k for form in forms)
    if not known or len(forms) != n:
        return Certificate(False, None, None, None, (f"form: {forms!r:.80} is not {n} whole numbers from 0 to {k}",))
    objective = Fraction(sum(_scaled(problem.values[i, f - 1].item()) for i, f in enumerate(forms) if f), SCALE)
    bound = dual_bound(problem, selection.multipliers)
    reasons = tuple(_against(problem, selection, forms, objective, bound, exceeds))
    if sha256 is not None and sha256 != digest(problem):
        reasons += (f"sha256: {sha256!r} is not the digest of the problem",)
    gap = None if bound is None else (bound - objective) / (max(abs(bound), abs(objective)) or 1)
    return Certificate(not reasons, objective, bound, gap, reasons)


def dual_bound(problem: BatchProblem, multipliers: Any) -> Fraction | None:
    """The exact bound that multipliers prove; None if they are malformed, or a required request fits in no form."""
    prices: list[Any] = [getattr(multipliers, name, None) for name in ("per_block_s", "per_token_s", "per_seq_s")]
    limits: tuple[int | None, ...] = (problem.capacity, problem.max_tokens, problem.max_seqs)
    if any(not is_finite(p) or p < 0 or (p and limit is None) for p, limit in zip(prices, limits, strict=True)):
        return None
    block, token, seq = map(_scaled, prices)
    total = block * problem.capacity + token * (problem.max_tokens or 0) + seq * (problem.max_seqs or 0)
    tokens = np.zeros(len(problem.values), np.int64) if problem.num_tokens is None else problem.num_tokens
    required = tokens < 0 if problem.required is None else problem.required
    columns = (problem.values, problem.weights, problem.fits_alone(), tokens, required)
    for values, weights, fits, num_tokens, must in zip(*(column.tolist() for column in columns), strict=True):
        gains = [_scaled(v) - block * w for v, w, fit in zip(values, weights, fits, strict=True) if fit]
        if must and not gains:
            return None
        best = max(gains, default=0) - token * num_tokens - seq
        total += best if must else max(best, 0)
    return Fraction(total, SCALE)


def is_finite(given: Any) -> bool:
    """Whether it is a finite int or float, and no bool."""
    return type(given) is not bool and isinstance(given, (int, float)) and abs(given) <= sys.float_info.max


def _scaled(number: float) -> int:
    return number.as_integer_ratio()[0] * SCALE // number.as_integer_ratio()[1]  # exact, for the latter divides SCALE


def _against(
    problem: BatchProblem, claim: Any, forms: Sequence[int], objective: Fraction, bound: Fraction | None, exceeds: bool
) -> Iterator[str]:
    blocks = sum(problem.weights[i, f - 1].item() for i, f in enumerate(forms) if f)
    tokens = 0 if problem.num_tokens is None else int(problem.num_tokens[np.array(forms) > 0].sum())
    limits = {"num_blocks": (blocks, problem.capacity), "num_tokens": (tokens, problem.max_tokens)}
    limits["num_seqs"] = (sum(map(bool, forms)), problem.max_seqs)
    over = [f"{of}: {use} is over {most}" for of, (use, most) in limits.items() if most is not None and use > most]
    yield from ([] if over else ["form: it is said to break a limit, but keeps them"]) if exceeds else over
    for i in () if problem.required is None else np.flatnonzero(problem.required & (np.array(forms) == 0)):
        yield f"form[{i}]: 0 is not accepted; the request is required"
    if bound is None or not is_finite(claim.bound_s) or claim.bound_s < bound:
        yield f"bound_s: {claim.bound_s!r} is not proved by {claim.multipliers!r}"
    facts = {"num_blocks": blocks, "num_tokens": tokens, "objective_s": float(objective)}
    if is_finite(claim.bound_s) and is_finite(claim.objective_s) and not exceeds:
        scale = max(abs(claim.bound_s), abs(claim.objective_s)) or 1
        facts["gap"] = max(0.0, claim.bound_s - claim.objective_s) / scale
    for name, fact in facts.items():
        if not is_finite(given := getattr(claim, name)) or given != fact:
            yield f"{name}: {given!r}, but it is {fact!r}"
