"""Residuals of small problems, and what is true of them in exact arithmetic: every sum here is one of fractions."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import product

from hypothesis import reject
from hypothesis import strategies as st

from aptsched import InfeasibleError
from aptsched.knapsack.residual import Residual, reduce
from exact_lp import maximum
from strategies import problems


@st.composite
def residuals(draw: st.DrawFn, side_constraints: bool = True, required: bool = True, extreme: bool = True) -> Residual:
    """The residual of a small problem whose required requests fit."""
    try:
        return reduce(draw(problems(side_constraints, required, extreme)))
    except InfeasibleError:
        reject()


def selections(residual: Residual) -> Iterator[tuple[int, ...]]:
    """Every choice of an option that is offered, or none (0), for each request, within the limits."""
    offered = [[0, *(f for f, gain in enumerate(gains, 1) if gain > 0)] for gains in residual.gain.T.tolist()]
    return (option for option in product(*offered) if fits(residual, option))


def used(residual: Residual, option: Sequence[int]) -> list[int]:
    """Units of blocks, tokens and sequences that the options take."""
    served = [(f - 1, i) for i, f in enumerate(option) if f]
    blocks = sum(int(residual.blocks[at]) for at in served)
    return [blocks, *(sum(int(use[i]) for _, i in served) for use in (residual.tokens, residual.seqs))]


def fits(residual: Residual, option: Sequence[int]) -> bool:
    """Whether the options stay within every limit."""
    return all(amount <= limit for amount, limit in zip(used(residual, option), residual.limits, strict=True))


def worth(residual: Residual, option: Sequence[int]) -> Fraction:
    """What the options gain."""
    return sum((Fraction(residual.gain[f - 1, i].item()) for i, f in enumerate(option) if f), Fraction(0))


def reduced_costs(residual: Residual, price: Sequence[float], request: int) -> list[Fraction]:
    """What each option of a request, 0 before all, gains above its price; of those on offer, the others are -1."""
    per_block, per_token, per_seq = map(Fraction, price)
    shared = per_token * int(residual.tokens[request]) + per_seq * int(residual.seqs[request])
    gains, blocks = residual.gain[:, request].tolist(), residual.blocks[:, request].tolist()
    options = zip(gains, blocks, strict=True)
    return [Fraction(0), *(Fraction(g) - per_block * w - shared if g > 0 else Fraction(-1) for g, w in options)]


def bound(residual: Residual, price: Sequence[float]) -> Fraction:
    """What these multipliers prove that no selection exceeds (the Lagrangian dual)."""
    paid = sum((Fraction(p) * int(limit) for p, limit in zip(price, residual.limits, strict=True) if p), Fraction(0))
    return paid + sum((max(reduced_costs(residual, price, i)) for i in range(len(residual.tokens))), Fraction(0))


def lp_optimum(residual: Residual) -> Fraction:
    """The optimum where requests may have fractions of their options, one in all."""
    columns = [
        (f, i) for f, i in product(range(len(residual.gain)), range(len(residual.tokens))) if residual.gain[f, i] > 0
    ]
    uses = (residual.blocks, residual.tokens, residual.seqs)
    finite = [(use, limit) for use, limit in zip(uses, residual.limits, strict=True) if limit < math.inf]
    rows = [[int(i == request) for _, i in columns] for request in range(len(residual.tokens))]
    rows += [[int(use[f, i] if use.ndim > 1 else use[i]) for f, i in columns] for use, _ in finite]
    limits = [*[Fraction(1)] * len(residual.tokens), *(Fraction(limit) for _, limit in finite)]
    return maximum([Fraction(residual.gain[at].item()) for at in columns], rows, limits)
