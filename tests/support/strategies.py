"""Small random problems: Hypothesis strategies, which shrink, and a seeded sweep, which is the same everywhere.

Test modules import it by name: pytest runs with `--import-mode=importlib` and `pythonpath = ["tests/support"]`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from fractions import Fraction
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from aptsched import BatchProblem
from aptsched.support.checks import MAX_COUNT

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
N = TypeVar("N", int, float)
Kind = Callable[[np.random.Generator, int, int], tuple[Floats, Ints]]

SWEEP_SEED = 20250617
NUM_SWEEP = int(os.environ.get("APTSCHED_SWEEP", "10000"))  # instances of the fixed sweep
RATIOS = [Fraction(1, 3), Fraction(1, 2), Fraction(3, 4), Fraction(1), Fraction(2)]
MAX_REQUESTS = {1: 9, 2: 7, 3: 7}  # by number of forms: at most 4**7 choices to enumerate


def sweep_problem(index: int) -> BatchProblem:
    """Instance `index` of the fixed sweep."""
    return random_problem(np.random.default_rng([SWEEP_SEED, index]))


def sweep_chunks(size: int = 250, total: int = NUM_SWEEP) -> list[range]:
    """The sweep's indices in chunks, for `parametrize`."""
    return [range(start, min(start + size, total)) for start in range(0, total, size)]


def random_problem(rng: np.random.Generator, side_constraints: bool = True, required: bool = True) -> BatchProblem:
    """One to three forms, none to two side constraints, required requests in about a quarter."""
    k = int(rng.integers(1, 4))
    n = int(rng.integers(1, MAX_REQUESTS[k] + 1, 2).max())
    values, weights = KINDS[rng.integers(len(KINDS))](rng, n, k)
    if rng.random() < 0.15:
        values = np.where(rng.random((n, k)) < 0.3, -values, values)
    if rng.random() < 0.15:
        weights = np.where(rng.random((n, k)) < 0.3, 0, weights)
    num_tokens = max_tokens = max_seqs = None
    if side_constraints and rng.random() < 0.5:
        num_tokens = rng.integers(0, 7, n) if rng.random() < 0.7 else rng.integers(1, 2000, n)
        max_tokens = int(num_tokens.sum() * rng.uniform(0.2, 1.1))
    if side_constraints and rng.random() < 0.5:
        max_seqs = int(rng.integers(min(n, 2) - (rng.random() < 0.05), n + 2))
    return BatchProblem(
        values=values,
        weights=weights,
        capacity=_capacity(rng, weights),
        num_tokens=num_tokens,
        max_tokens=max_tokens,
        max_seqs=max_seqs,
        required=rng.random(n) < rng.choice([0.15, 0.5]) if required and rng.random() < 0.3 else None,
    )


def _capacity(rng: np.random.Generator, weights: Ints) -> int:
    which = rng.random()
    if which < 0.05:
        return 0
    if which < 0.2:
        return int(rng.choice(weights.ravel()))  # some forms do not fit alone
    if which < 0.3:
        return int(weights.max())
    return int(weights.max(axis=1).sum() * rng.uniform(0.1, 1.0))


def _ties(rng: np.random.Generator, n: int, k: int) -> tuple[Floats, Ints]:
    return rng.integers(0, 7, (n, k)).astype(float), rng.integers(0, 7, (n, k))


def _dyadic(rng: np.random.Generator, n: int, k: int) -> tuple[Floats, Ints]:
    return rng.integers(0, 200, (n, k)) / 16, rng.integers(1, 30, (n, k))


def _seconds(rng: np.random.Generator, n: int, k: int) -> tuple[Floats, Ints]:
    return np.sort(rng.exponential(1.0, (n, k)))[:, ::-1], np.sort(rng.integers(1, 100, (n, k)))[:, ::-1]


def _wide(rng: np.random.Generator, n: int, k: int) -> tuple[Floats, Ints]:
    exponents = rng.uniform(-1, 1, (n, k)) * rng.choice([3, 20, 250])
    return 10.0**exponents, rng.integers(0, 2 ** int(rng.choice([3, 10, 30])), (n, k))


def _serving(rng: np.random.Generator, n: int, k: int) -> tuple[Floats, Ints]:
    """KV, hidden and quantised forms of definition 1, with a ratio drawn."""
    blocks = rng.integers(1, 40, n)
    pending = rng.exponential(2.0, n) if rng.random() < 0.5 else rng.integers(1, 30, n) / 8
    ratios = [Fraction(1), RATIOS[rng.integers(len(RATIOS))], Fraction(1, 4)][:k]
    penalty = rng.choice([0, 1 / 64, 1 / 16, 1 / 4])
    values = np.stack([pending - penalty * blocks * f for f in range(k)], axis=1)
    return values, np.stack([-(-blocks * r.numerator // r.denominator) for r in ratios], axis=1)


def _correlated(rng: np.random.Generator, n: int, k: int) -> tuple[Floats, Ints]:
    """Value = weight + constant; with a constant of 0, all of one efficiency."""
    weights = rng.integers(1, 50, (n, k))
    return weights + np.float64(rng.choice([0, 1, 10])), weights


def _huge_and_tiny(rng: np.random.Generator, n: int, k: int) -> tuple[Floats, Ints]:
    """One huge request among tiny, more efficient ones: a greedy without fallback fails."""
    size = int(rng.integers(5, 1000))
    weights = rng.integers(1, 4, (n, k))
    values = weights * rng.uniform(1.0, 1.5, (n, k))
    weights[0], values[0] = size, size * rng.uniform(0.9, 1.0)
    return values, weights


def _over_half(rng: np.random.Generator, n: int, k: int) -> tuple[Floats, Ints]:
    """Requests of just over and just under half of the capacity: neither fallback nor filling helps."""
    half = int(rng.integers(3, 200))
    over = rng.random((n, k)) < 0.5
    weights = np.where(over, half + 1, half)
    return weights + np.where(over, rng.uniform(1e-6, 1e-2, (n, k)), 0.0), weights


KINDS: list[Kind] = [_ties, _dyadic, _seconds, _wide, _serving, _correlated, _huge_and_tiny, _over_half]

# Three constraints bind and equal entries make bases of the relaxation singular, or nearly: found by local search.
# Values, weights, tokens, most sequences; 60 blocks, 60 tokens.
SINGULAR = [
    ([61, 61, 56, 59], [60, 28, 12, 23], [39, 39, 12, 39], 2),
    ([51, 50, 50, 49, 50], [58, 54, 54, 2, 0], [41, 19, 9, 55, 20], 2),
    ([50, 57, 53, 57, 57], [41, 55, 3, 58, 55], [35, 34, 27, 0, 28], 2),
    ([59, 28, 29, 65, 29], [2, 11, 51, 40, 10], [12, 30, 52, 0, 52], 3),
    ([49, 50, 49, 27, 56, 52], [12, 49, 30, 39, 2, 33], [1, 28, 1, 18, 43, 18], 3),
    ([54, 54, 45, 54, 54, 51], [0, 42, 39, 42, 22, 56], [49, 8, 8, 8, 49, 9], 2),
    ([76, 74, 74, 32, 74, 52, 74], [56, 1, 20, 1, 0, 6, 0], [0, 50, 49, 7, 49, 20, 49], 3),
]


def singular_problems() -> list[BatchProblem]:
    """The problems of `SINGULAR`."""
    return [
        BatchProblem(np.array(values)[:, None], np.array(weights)[:, None], 60, np.array(tokens), 60, max_seqs)
        for values, weights, tokens, max_seqs in SINGULAR
    ]


small_values = st.integers(0, 6).map(float)
dyadic_values = st.integers(-64, 640).map(lambda v: v / 64)
any_values = st.floats(-1e3, 1e6, allow_subnormal=False)
extreme_values = st.sampled_from([0.0, 1e-280, 1e-12, 1 / 3, 1.0, 1.0 + 2**-52, 3.0, 2.0**53, 1e16, 1e280])
small_weights: st.SearchStrategy[int] = st.integers(0, 8)
any_weights = st.integers(0, MAX_COUNT) | small_weights


@st.composite
def problems(
    draw: st.DrawFn, side_constraints: bool = True, required: bool = True, extreme: bool = True
) -> BatchProblem:
    """Problems of one to three forms with all that a small problem can have; `extreme` values do not scale freely."""
    k = draw(st.integers(1, 3))
    n = draw(st.integers(1, min(MAX_REQUESTS[k], 6)))
    kinds = [small_values, dyadic_values, any_values] + [extreme_values] * extreme
    value, weight = draw(st.sampled_from(kinds)), draw(st.sampled_from([small_weights, any_weights]))
    weights = draw(_table(n, k, weight))
    heaviest = sum(max(row) for row in weights)
    num_tokens = max_tokens = max_seqs = None
    if side_constraints and draw(st.booleans()):
        num_tokens = draw(st.lists(small_weights, min_size=n, max_size=n))
        max_tokens = draw(st.integers(0, sum(num_tokens) + 1))
    if side_constraints and draw(st.booleans()):
        max_seqs = draw(st.integers(0, n + 1))
    return BatchProblem(
        values=draw(_table(n, k, value)),
        weights=weights,
        capacity=draw(st.integers(0, heaviest + 1)),
        num_tokens=num_tokens,
        max_tokens=max_tokens,
        max_seqs=max_seqs,
        required=draw(st.none() | st.lists(st.booleans(), min_size=n, max_size=n)) if required else None,
    )


@st.composite
def hybrid_problems(draw: st.DrawFn) -> BatchProblem:
    """Definition 1, with a hidden ratio of 1/3 to 2."""
    n = draw(st.integers(1, 6))
    blocks = draw(st.lists(st.integers(0, 20), min_size=n, max_size=n))
    return BatchProblem.hybrid(
        pending_s=draw(st.lists(st.integers(0, 64).map(lambda v: v / 8), min_size=n, max_size=n)),
        num_blocks=blocks,
        capacity=draw(st.integers(0, sum(blocks) + 1)),
        penalty_s_per_block=draw(st.sampled_from([0.0, 1 / 64, 1 / 8, 1.0])),
        hidden_ratio=draw(st.sampled_from(RATIOS)),
    )


def _table(n: int, k: int, entries: st.SearchStrategy[N]) -> st.SearchStrategy[list[list[N]]]:
    return st.lists(st.lists(entries, min_size=k, max_size=k), min_size=n, max_size=n)
