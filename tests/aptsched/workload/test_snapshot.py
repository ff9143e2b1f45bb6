"""Snapshots of a backlogged queue."""

from __future__ import annotations

import re
from fractions import Fraction
from itertools import islice
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aptsched.problem.batch_problem import BatchProblem
from aptsched.support.errors import InputError
from aptsched.workload import Trace, generate, snapshot, snapshots

LENGTHS = Trace(None, [15, 16, 31, 32], [1, 1, 1, 1])
ARRIVALS = Trace([0.0, 1.0, 3.0, 3.0, 7.0], [10, 20, 30, 40, 50], [1, 1, 1, 1, 1])

traces = st.one_of(
    st.lists(st.integers(1, 5000), min_size=1, max_size=30).map(lambda prompts: Trace(None, prompts, prompts)),
    st.lists(st.tuples(st.integers(0, 50), st.integers(1, 5000)), min_size=1, max_size=30).map(
        lambda rows: Trace([row[0] / 8 for row in rows], [row[1] for row in rows], [1 for _ in rows])
    ),
)


def seeded(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def same(one: BatchProblem, two: BatchProblem) -> bool:
    return np.array_equal(one.values, two.values) and np.array_equal(one.weights, two.weights)


@given(traces, st.integers(1, 60), st.floats(1e-6, 2.0), st.floats(0, 20), st.integers(0, 2**32))
def test_a_snapshot_is_a_queue_of_the_trace(trace: Trace, n: int, load: float, cv: float, seed: int) -> None:
    """Any trace and size give n requests of it, all pending, and floor(load * demand) blocks but at least one."""
    problem = snapshot(trace, n, load, seeded(seed), cv=cv, block_size=1)
    assert problem.num_requests == n
    assert (problem.values[:, 0] > 0).all()
    assert set(problem.weights[:, 0] - 1) <= set(trace.prompt_tokens.tolist())
    assert problem.capacity == max(1, int(Fraction(str(load)) * int(problem.weights[:, 0].sum())))
    assert same(problem, snapshot(trace, n, load, seeded(seed), cv=cv, block_size=1))


def test_a_request_needs_the_blocks_of_its_next_token() -> None:
    """Prompts of 15, 16, 31 and 32 tokens need 1, 2, 2 and 3 blocks of 16."""
    problem = snapshot(LENGTHS, 4, 1.0, seeded())
    assert sorted(problem.weights[:, 0].tolist()) == [1, 2, 2, 3]
    assert problem.capacity == 8


def test_load_is_taken_as_the_decimal_that_is_written() -> None:
    """0.29 of 100 blocks is 29, though 0.29 * 100 < 29 in floating point."""
    assert int(0.29 * 100) == 28
    assert snapshot(Trace(None, [1599], [1]), 1, 0.29, seeded()).capacity == 29


def test_the_penalty_is_everyone_times_rho() -> None:
    """A hidden block costs U * rho: by default 16 * 17 us for each of the n who wait."""
    problem = snapshot(LENGTHS, 4, 1.0, seeded())
    blocks = problem.weights[:, 0]
    assert problem.values[:, 0] - problem.values[:, 1] == pytest.approx(4 * 16 * 17.0e-6 * blocks, rel=1e-9)
    problem = snapshot(LENGTHS, 4, 1.0, seeded(), rho_s_per_block=0.5)
    assert problem.values[:, 0] - problem.values[:, 1] == pytest.approx(4 * 0.5 * blocks)
    problem = snapshot(LENGTHS, 4, 1.0, seeded(), block_size=1)
    assert problem.values[:, 0] - problem.values[:, 1] == pytest.approx(4 * 17.0e-6 * problem.weights[:, 0], rel=1e-9)


@pytest.mark.parametrize("seed", range(8))
def test_pending_times_of_a_trace_with_arrivals(seed: int) -> None:
    """Three in a row wait until the first later arrival; at the end of the trace one mean gap of 1.75 s more."""
    problem = snapshot(ARRIVALS, 3, 1.0, seeded(seed), block_size=1)
    start = {10: 0, 20: 1, 30: 2}[int(problem.weights[0, 0]) - 1]
    assert problem.weights[:, 0].tolist() == [p + 1 for p in (10, 20, 30, 40, 50)[start : start + 3]]
    expected = ([7.0, 6.0, 4.0], [6.0, 4.0, 4.0], [5.75, 5.75, 1.75])
    assert problem.values[:, 0].tolist() == expected[start]


def test_a_short_trace_is_repeated_in_time() -> None:
    """Two requests 1 s apart make a queue of four 1 s apart, seen 1 s after the last."""
    problem = snapshot(Trace([5.0, 6.0], [7, 8], [1, 1]), 4, 1.0, seeded(), block_size=1)
    assert problem.values[:, 0].tolist() == [4.0, 3.0, 2.0, 1.0]
    assert sorted(problem.weights[:2, 0].tolist()) == [8, 9]
    assert problem.weights[:2, 0].tolist() == problem.weights[2:, 0].tolist()


def test_one_moment_repeated_takes_the_gap_of_the_rate() -> None:
    """A trace without two different arrivals repeats every 1 / rate_per_s."""
    problem = snapshot(Trace([5.0], [7], [1]), 3, 1.0, seeded(), rate_per_s=4.0)
    assert problem.values[:, 0].tolist() == [0.75, 0.5, 0.25]


def test_lengths_alone_are_rotated_and_arrivals_drawn() -> None:
    """Lengths come in a row from a random start; with CV 0 the k-th last has waited k mean gaps."""
    trace = Trace(None, list(range(1, 11)), [1] * 10)
    starts = set()
    for seed in range(40):
        problem = snapshot(trace, 10, 1.0, seeded(seed), rate_per_s=2.0, cv=0.0, block_size=1)
        prompts = (problem.weights[:, 0] - 1).tolist()
        starts.add(prompts[0])
        assert prompts == [(prompts[0] - 1 + i) % 10 + 1 for i in range(10)]
        assert problem.values[:, 0].tolist() == [0.5 * k for k in range(10, 0, -1)]
    assert len(starts) > 5


def test_too_few_lengths_are_drawn_with_replacement() -> None:
    """A queue longer than a trace of lengths alone is drawn with replacement: every length about as often."""
    problem = snapshot(Trace(None, [1, 2], [1, 1]), 4000, 1.0, seeded(), block_size=1)
    assert (problem.weights[:, 0] == 2).mean() == pytest.approx(0.5, abs=0.04)


def test_side_constraints() -> None:
    """With max_tokens each request adds its prompt; without, no tokens are counted."""
    problem = snapshot(LENGTHS, 4, 1.0, seeded(), max_tokens=50, max_seqs=2)
    assert (problem.max_tokens, problem.max_seqs) == (50, 2)
    assert problem.num_tokens is not None and sorted(problem.num_tokens.tolist()) == [15, 16, 31, 32]
    assert snapshot(LENGTHS, 4, 1.0, seeded(), max_seqs=2).num_tokens is None


def test_the_hidden_ratio_is_passed_on() -> None:
    """The hidden form weighs ceil(m * hidden_ratio) blocks."""
    problem = snapshot(LENGTHS, 4, 1.0, seeded(), hidden_ratio=Fraction(2, 3))
    assert problem.weights[:, 1].tolist() == [-(-2 * m // 3) for m in problem.weights[:, 0].tolist()]


def test_the_queue_does_not_depend_on_the_load() -> None:
    """The same seed shows the same queue at every load."""
    trace = generate("azure-code", 500, seeded())
    assert same(snapshot(trace, 100, 0.1, seeded(3)), snapshot(trace, 100, 0.5, seeded(3)))


def test_snapshots_begin_alike_however_many_are_cut() -> None:
    """The first three of three and of ten are the same, and one differs from the next."""
    trace = generate("sharegpt", 500, seeded())
    three = list(snapshots(trace, 3, 100, 0.25, seeded(1), max_seqs=9))
    ten = list(islice(snapshots(trace, 10, 100, 0.25, seeded(1), max_seqs=9), 3))
    assert len(three) == 3
    assert all(same(one, two) for one, two in zip(three, ten, strict=True))
    assert not same(three[0], three[1])
    assert three[0].max_seqs == 9


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"num_requests": 0}, "num_requests: 0 is not accepted; a whole number from 1 to 2**32 is"),
        ({"num_requests": True}, "num_requests: True is not accepted; a whole number from 1 to 2**32 is"),
        ({"load": 0}, "load: 0 is not accepted; a number from 1e-06 to 1e+06 is"),
        ({"load": float("inf")}, "load: inf is not finite; finite numbers are accepted"),
        ({"load": "much"}, "load: entries of type <U4 are not accepted; numbers are"),
        ({"block_size": 0}, "block_size: 0 is not accepted; a whole number from 1 to 2**32 is"),
        ({"rho_s_per_block": -1.0}, "rho_s_per_block: -1.0 is not accepted; a number from 0 to 1e+06 is"),
        ({"hidden_ratio": 0}, "hidden_ratio: 0 is not accepted; a fraction above 0, of at most 2**32, is"),
        ({"rate_per_s": -3.0}, "rate_per_s: -3.0 is not accepted; a number from 1e-06 to 1e+06 is"),
        ({"cv": float("nan")}, "cv: nan is not finite; finite numbers are accepted"),
        ({"max_tokens": -1}, "max_tokens: -1 is not accepted; a whole number of at least 0 is"),
        ({"max_seqs": 1.5}, "max_seqs: 1.5 is not accepted; a whole number of at least 0 is"),
    ],
)
def test_bad_parameters(changed: dict[str, Any], message: str) -> None:
    """A parameter out of range is refused with its name, value and what is accepted."""
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        snapshot(LENGTHS, rng=seeded(), **{"num_requests": 2, "load": 0.5, **changed})


def test_no_snapshots_at_all_is_refused_at_once() -> None:
    """The number of snapshots is checked on the call, not when the first is taken."""
    with pytest.raises(
        InputError, match=re.escape("num_instances: 0 is not accepted; a whole number from 1 to 2**32 is")
    ):
        snapshots(LENGTHS, 0, 2, 0.5, seeded())
