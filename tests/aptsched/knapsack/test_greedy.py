"""The greedy is feasible, within its guarantee, and carries a valid certificate."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings

from aptsched import BatchProblem, greedy
from aptsched.knapsack.residual import reduce
from aptsched.support.errors import InfeasibleError
from brute_force import check_selection, enumerate_all, guarantee_kept
from strategies import hybrid_problems, problems, singular_problems, sweep_chunks, sweep_problem


def check_greedy(problem: BatchProblem) -> None:
    """Everything that greedy promises on one instance, against enumeration."""
    best = enumerate_all(problem)
    if best.optimum is None:
        with pytest.raises(InfeasibleError) as error:
            greedy(problem)
        assert (error.value.num_blocks, error.value.num_tokens, error.value.num_seqs) == best.overload
        return
    achieved = []
    for fill in (False, True):
        selection = greedy(problem, fill=fill)
        achieved.append(check_selection(problem, selection))
        assert achieved[-1] <= best.optimum <= Fraction(selection.bound_s)
        assert guarantee_kept(problem, achieved[-1], best.optimum), f"{problem}: {selection}, optimum {best.optimum}"
    assert achieved[0] <= achieved[1], "filling lowered the objective"


@pytest.mark.parametrize("chunk", sweep_chunks(), ids=lambda chunk: f"from-{chunk.start}")
def test_keeps_its_word_on_the_sweep(chunk: range) -> None:
    """On every instance of the fixed sweep."""
    for index in chunk:
        check_greedy(sweep_problem(index))


@settings(max_examples=500)
@given(problem=problems())
def test_keeps_its_word(problem: BatchProblem) -> None:
    """On whatever Hypothesis comes up with."""
    check_greedy(problem)


@settings(max_examples=200)
@given(problem=hybrid_problems())
def test_keeps_its_word_on_definition_1(problem: BatchProblem) -> None:
    """On two forms of one request, at hidden ratios from 1/3 to 2."""
    check_greedy(problem)


@pytest.mark.parametrize("problem", singular_problems(), ids=lambda problem: f"{problem.num_requests}-requests")
def test_keeps_its_word_where_bases_are_singular(problem: BatchProblem) -> None:
    """On vertices of the relaxation where constraints depend on each other."""
    check_greedy(problem)


def test_four_requests_by_hand() -> None:
    """Steps by seconds per block: 1.75 and 1.5 (hidden 2 and 1), 1.0 (1 to KV), 0.5 (0 and 3; 0 to KV at 4/3).

    Upper hulls: 0 is 0 -> 6 s for 6 blocks (1.0); 1 is 3 s for 2 (1.5), then 2 s for 2 (1.0); 2 is 3.5 s for 2 (1.75),
    then 0.5 s for 2; 3 is 1 s for 2 (0.5). Of 10 blocks 4 go to the hidden forms of 1 and 2, then either request 0 as
    a whole (12.5 s, the optimum) or the step of request 1 to KV, after which request 0 does not fit.
    """
    problem = BatchProblem(
        values=[[6.0, 2.0], [5.0, 3.0], [4.0, 3.5], [1.0, 0.4]],
        weights=[[6, 3], [4, 2], [4, 2], [2, 1]],
        capacity=10,
    )
    selection = greedy(problem)
    assert selection.objective_s >= 10.0
    assert selection.form[1] > 0 and selection.form[2] > 0
    assert check_selection(problem, selection) <= Fraction(25, 2) <= Fraction(selection.bound_s)


def test_fallback_takes_the_form_that_fits() -> None:
    """The left-out request fits alone only in hidden form; without it the answer is 1 s of 9."""
    problem = BatchProblem(values=[[1.0, 0.1], [11.0, 8.0]], weights=[[1, 1], [20, 10]], capacity=10)
    assert greedy(problem, fill=False).form.tolist() == [0, 2]


def test_fallback_takes_one_huge_request() -> None:
    """The most efficient request is tiny and keeps the huge one out; the huge one alone is worth 99 times as much."""
    problem = BatchProblem(values=[[1.0], [99.0]], weights=[[1], [100]], capacity=100)
    assert greedy(problem, fill=False).form.tolist() == [0, 1]


def test_filling_takes_what_still_fits() -> None:
    """2 s for 1 block, then 5 s for 5 of 4 free blocks does not fit, but 1 s for 4 blocks does."""
    problem = BatchProblem(values=[[6.0], [5.0], [1.0]], weights=[[1], [5], [4]], capacity=5)
    assert greedy(problem, fill=False).form.tolist() == [1, 0, 0]
    assert greedy(problem, fill=True).form.tolist() == [1, 0, 1]


def test_filling_beside_a_token_budget_loses_nothing() -> None:
    """Memory decides what the LP serves; what still fits into memory after it does not fit into the token budget."""
    problem = BatchProblem(
        values=[[11.0], [14.0], [39.0], [31.0], [6.0]],
        weights=[[11], [14], [39], [31], [6]],
        capacity=78,
        num_tokens=[13, 27, 38, 8, 23],
        max_tokens=92,
    )
    unfilled, filled = greedy(problem, fill=False).objective_s, greedy(problem).objective_s
    assert filled >= unfilled == 70.0


def test_filling_beside_the_single_request_takes_what_weighs_nothing() -> None:
    """The single request fills all 100 blocks; 2 s in no blocks still fit."""
    problem = BatchProblem(values=[[1.0], [99.0], [2.0]], weights=[[1], [100], [0]], capacity=100)
    assert greedy(problem, fill=True).form.tolist() == [0, 1, 1]


def test_everything_fits() -> None:
    """Each request in its most valuable form, and the certificate closes the gap."""
    problem = BatchProblem(
        values=[[6.0, 7.0], [5.0, 4.0], [-1.0, 0.0]],
        weights=[[6, 3], [4, 2], [1, 1]],
        capacity=7,
        num_tokens=[1, 2, 3],
        max_tokens=6,
        max_seqs=3,
    )
    selection = greedy(problem)
    assert selection.form.tolist() == [2, 1, 0]
    assert (selection.objective_s, selection.bound_s, selection.gap) == (12.0, 12.0, 0.0)


def test_nothing_fits() -> None:
    """No capacity, no tokens, no sequences: nobody is served, and that is optimal."""
    for limits in ({"capacity": 0}, {"capacity": 9, "max_tokens": 0}, {"capacity": 9, "max_seqs": 0}):
        problem = BatchProblem(values=[[2.0], [1.0]], weights=[[2], [1]], num_tokens=[1, 1], **limits)
        selection = greedy(problem)
        assert selection.form.tolist() == [0, 0]
        assert selection.objective_s == 0.0


def test_required_requests_are_served_first() -> None:
    """The required request brings nothing but stays, in its lightest form, where the capacity is wanted elsewhere."""
    problem = BatchProblem(
        values=[[0.5, 0.0], [9.0, 4.0]], weights=[[4, 2], [8, 4]], capacity=10, required=[True, False]
    )
    assert greedy(problem).form.tolist() == [2, 1]


def test_required_requests_may_cost() -> None:
    """A required request is served at -3 s rather than at -5 s."""
    problem = BatchProblem(values=[[-5.0, -3.0]], weights=[[1, 2]], capacity=3, required=[True])
    selection = greedy(problem)
    assert (selection.form.tolist(), selection.objective_s) == ([2], -3.0)


@pytest.mark.parametrize("limit", [2**31, 2**53 + 1, 2**63, 2**64, 10**30, 10**400], ids=int.bit_length)
def test_limits_of_any_size(limit: int) -> None:
    """A limit beyond every need is as good as none, however large."""
    problem = BatchProblem(
        values=[[2.0], [1.0]], weights=[[2], [1]], capacity=limit, num_tokens=[3, 4], max_tokens=limit, max_seqs=limit
    )
    selection = greedy(problem)
    assert (selection.form.tolist(), selection.bound_s) == ([1, 1], 3.0)


def test_values_near_the_largest_float() -> None:
    """The bound stays valid, for values as large as are accepted."""
    problem = BatchProblem(values=[[8e282], [7e282], [1e282]], weights=[[3], [2], [2]], capacity=4)
    selection = greedy(problem)
    assert selection.objective_s >= 4e282
    assert selection.bound_s >= 8e282


def test_smallest_values() -> None:
    """Subnormal seconds are values like others."""
    tiny = 5e-324
    problem = BatchProblem(values=[[3 * tiny], [2 * tiny], [tiny]], weights=[[3], [2], [2]], capacity=4)
    selection = greedy(problem)
    assert 2 * tiny <= selection.objective_s <= 3 * tiny <= selection.bound_s


@pytest.mark.parametrize("ratio", [1, 1.5, 2])
def test_hidden_form_of_no_use_is_never_chosen(ratio: float) -> None:
    """At a ratio of 1 or more the KV form is worth as much and no heavier."""
    for penalty in (0.0, 0.25):
        for capacity in range(12):
            problem = BatchProblem.hybrid([3.0, 2.0, 2.0], [4, 3, 4], capacity, penalty, hidden_ratio=ratio)
            assert 2 not in greedy(problem).form


def test_certificate_where_nothing_fits_beside_the_required() -> None:
    """Blocks that only required requests have are priced all the same: the bound is that of the LP."""
    problem = BatchProblem([[5.0], [4.0], [3.0]], [[2], [3], [1]], capacity=2, required=[True, False, False])
    assert (greedy(problem).objective_s, greedy(problem).multipliers.per_block_s) == (5.0, 3.0)
    assert greedy(problem).bound_s == pytest.approx(3 * 2 + (5 - 3 * 2), rel=1e-12)


def test_no_sequence_allowed() -> None:
    """With room for no sequence at all the bound is 0, but for rounding."""
    assert 0 <= greedy(BatchProblem([[1.0], [2.0], [3.0]], [[1]] * 3, 2, max_seqs=0)).bound_s < 1e-9


def test_what_cannot_fit_has_no_part_in_the_bound() -> None:
    """A form that cannot fit alone leaves the bound as it is, however valuable or heavy it is."""
    values, weights = [[1.0], [1.0]], [[1], [1]]
    expected = greedy(BatchProblem(values, weights, 1))
    for value, weight in ((1e30, 9), (2.0, 2**32)):
        selection = greedy(BatchProblem([*values, [value]], [*weights, [weight]], 1))
        assert (selection.objective_s, selection.bound_s) == (expected.objective_s, expected.bound_s)


@pytest.mark.parametrize(("tokens", "limits"), [(12, (4.0, np.inf, np.inf)), (13, (4.0, 50.0, np.inf))])
def test_what_memory_implies_is_no_limit(tokens: int, limits: tuple[float, float, float]) -> None:
    """Four blocks are free and 50 tokens: with 12 a block no batch has more than 48, with 13 four requests have 52."""
    values = np.arange(10.0, 0.0, -1.0)[:, None]
    weights = np.full((10, 1), 3)  # in units of 3 blocks
    problem = BatchProblem(values, weights, 14, np.full(10, tokens), max_tokens=50, max_seqs=7)
    assert reduce(problem).limits == limits
    selection = greedy(problem)
    assert selection.objective_s == (34.0 if tokens == 12 else 27.0)
    assert check_selection(problem, selection) <= Fraction(selection.bound_s)


@settings(max_examples=300)
@given(problem=problems())
def test_limits_left_out_are_never_exceeded(problem: BatchProblem) -> None:
    """Every batch within the limits that are left of the residual is within all of the problem's."""
    try:
        residual = reduce(problem)
    except InfeasibleError:
        return
    offered = [[0, *(np.flatnonzero(gain > 0) + 1).tolist()] for gain in residual.gain.T]
    uses = (residual.tokens, residual.seqs)
    free: list[int | None] = [None, None]
    if problem.max_tokens is not None:
        assert problem.num_tokens is not None
        held = 0 if problem.required is None else int(problem.num_tokens[problem.required].sum())
        free[0] = problem.max_tokens - held
    if problem.max_seqs is not None:
        free[1] = problem.max_seqs - (0 if problem.required is None else int(problem.required.sum()))
    for options in product(*offered):
        served = [(option - 1, i) for i, option in enumerate(options) if option]
        used = [sum(int(residual.blocks[at]) for at in served)]
        used += [sum(int(use[i]) for _, i in served) for use in uses]
        if all(amount <= limit for amount, limit in zip(used, residual.limits, strict=True)):
            assert all(limit is None or amount <= limit for amount, limit in zip(used[1:], free, strict=True))
