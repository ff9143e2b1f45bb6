"""The checker of certificates: whatever it passes is true, and whatever the methods answer passes."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aptsched import BatchProblem, InfeasibleError, Multipliers, Selection, greedy
from aptsched.problem.certificate import certify
from aptsched.problem.instance import digest
from brute_force import enumerate_all, exact_dual_bound, exact_objective
from mutations import mutations
from proofs.certificate import check, dual_bound
from solvers import core
from strategies import problems, sweep_problem

HYBRID = BatchProblem.hybrid([9.0, 7.0, 4.0], [6, 5, 3], 8, 0.25, num_tokens=[5, 4, 3], max_tokens=9, max_seqs=2)
SUPPORT = (
    "arrays",
    "beside",
    "checks",
    "compiled",
    "constant",
    "errors",
    "exports",
    "fields",
    "files",
    "json_text",
    "lazy",
    "number_text",
    "plural",
    "quick_init",
    "shown",
)
KNOWN = {"aptsched", "aptsched.support", *(f"aptsched.support.{name}" for name in SUPPORT)}
KNOWN |= {"aptsched.problem", "aptsched.problem.batch_problem", "aptsched.problem.instance"}
FIELDS = list(Selection.__dataclass_fields__)


def answers(problem: BatchProblem) -> list[Selection]:
    """Of the greedy with and without filling, and of the exact method; none where there are none."""
    try:
        return [greedy(problem), greedy(problem, fill=False), *filter(None, [core.solve(problem).selection])]
    except InfeasibleError:
        return []


def assert_true(problem: BatchProblem, selection: Any) -> None:
    """All that a selection claims, by enumeration."""
    best = enumerate_all(problem)
    form = np.array(selection.form, np.int64)
    assert best.optimum is not None and form.shape == (problem.num_requests,)
    objective = exact_objective(problem, form)
    served = np.flatnonzero(form)
    blocks = int(problem.weights[served, form[served] - 1].sum())
    tokens = 0 if problem.num_tokens is None else int(problem.num_tokens[served].sum())
    assert (selection.num_blocks, selection.num_tokens) == (blocks, tokens)
    assert blocks <= problem.capacity and (problem.max_tokens is None or tokens <= problem.max_tokens)
    assert problem.max_seqs is None or len(served) <= problem.max_seqs
    assert problem.required is None or form[problem.required].all()
    assert selection.objective_s == float(objective)
    assert objective <= best.optimum <= Fraction(selection.bound_s)


@settings(max_examples=300)
@given(problem=problems())
def test_every_answer_holds(problem: BatchProblem) -> None:
    """Those of all methods, with the digest of their problem and without."""
    for selection in answers(problem):
        for sha256 in (None, digest(problem)):
            certificate = check(problem, selection, sha256)
            assert certificate.holds and certificate.reasons == (), certificate.reasons
        assert certificate.objective == exact_objective(problem, selection.form)
        assert certificate.bound == exact_dual_bound(problem, selection.multipliers) <= Fraction(selection.bound_s)


@pytest.mark.parametrize("name", FIELDS)
def test_a_mutation_is_refused_or_leaves_every_claim_true(name: str) -> None:
    """Each field of a selection, every small change, on instances of all kinds; at least one is refused of each."""
    num_refused = 0
    for problem in [HYBRID, *(sweep_problem(index) for index in range(40) if len(sweep_problem(index).values) < 5)]:
        for selection in answers(problem)[:1]:
            value = getattr(selection, name)
            plain = vars(value) if name == "multipliers" else value.tolist() if name == "form" else value
            for other in mutations(plain):
                if name == "multipliers" and isinstance(other, dict) and set(other) == set(plain):
                    other = Multipliers(**other)
                changed = replace(selection, **{name: other})
                if check(problem, changed).holds:
                    assert_true(problem, changed)
                else:
                    num_refused += 1
    assert num_refused


@settings(max_examples=200)
@given(problem=problems(), data=st.data())
def test_random_claims_are_refused_unless_true(problem: BatchProblem, data: st.DataObject) -> None:
    """Any forms, certified by any multipliers: what passes is feasible."""
    n, k = problem.values.shape
    form = np.array(data.draw(st.lists(st.integers(0, k), min_size=n, max_size=n)))
    price = data.draw(st.lists(st.floats(0, 1e6), min_size=3, max_size=3))
    if problem.required is not None and not (problem.fits_alone().any(axis=1) | ~problem.required).all():
        return
    selection = certify(
        problem,
        form,
        Multipliers(
            price[0],
            0.0 if problem.max_tokens is None else price[1],
            0.0 if problem.max_seqs is None else price[2],
        ),
    )
    if check(problem, selection).holds:
        assert_true(problem, selection)
    else:
        assert enumerate_all(problem).optimum is None or not _is_feasible(problem, form)


def _is_feasible(problem: BatchProblem, form: Any) -> bool:
    served = np.flatnonzero(form)
    blocks = problem.weights[served, form[served] - 1].sum()
    tokens = 0 if problem.num_tokens is None else problem.num_tokens[served].sum()
    return bool(
        blocks <= problem.capacity
        and (problem.max_tokens is None or tokens <= problem.max_tokens)
        and (problem.max_seqs is None or len(served) <= problem.max_seqs)
        and (problem.required is None or form[problem.required].all())
    )


def test_each_reason_names_its_field_and_value() -> None:
    """One sentence each, by hand: 7.5 + 7 s in 3 + 5 blocks and 9 tokens."""
    selection = greedy(HYBRID)
    assert (selection.form.tolist(), selection.objective_s) == ([2, 1, 0], 14.5)
    cases: list[tuple[str, Any, list[str]]] = [
        ("form", [1, 0, 3], ["form: [1, 0, 3] is not 3 whole numbers from 0 to 2"]),
        ("form", [1, 0], ["form: [1, 0] is not"]),
        ("form", [1, 1, 1], ["num_blocks: 14 is over 8", "num_tokens: 12 is over", "num_seqs: 3 is over"]),
        ("num_blocks", 7, ["num_blocks: 7, but it is 8"]),
        ("num_tokens", True, ["num_tokens: True, but it is 9"]),
        ("objective_s", 12.0, ["objective_s: 12.0, but it is 14.5"]),
        ("bound_s", 14.0, ["bound_s: 14.0 is not proved by Multipliers("]),
        ("bound_s", float("inf"), ["bound_s: inf is not proved by"]),
        ("multipliers", Multipliers(-1.0), ["per_block_s=-1.0"]),
        ("multipliers", None, ["None"]),
    ]
    for name, value, parts in cases:
        reasons = check(HYBRID, replace(selection, **{name: value})).reasons
        assert all(any(part in reason for reason in reasons) for part in parts), reasons
    assert check(HYBRID, selection, "0" * 64).reasons == (f"sha256: '{'0' * 64}' is not the digest of the problem",)


def test_a_weaker_bound_holds_and_a_stronger_one_does_not() -> None:
    """One ulp below the exact bound of the multipliers is too low."""
    selection = certify(HYBRID, np.array([1, 0, 2]), Multipliers())
    assert selection.bound_s == 20.0
    for bound_s, holds in ((20.0, True), (20.5, True), (np.nextafter(20.0, 0), False)):
        assert check(HYBRID, replace(selection, bound_s=float(bound_s))).holds is holds


def test_an_unlimited_resource_has_no_price() -> None:
    """It would be charged to the requests and paid to nobody."""
    problem = BatchProblem([[2.0]], [[1]], 1, num_tokens=[4])
    selection = greedy(problem)
    for name in ("per_token_s", "per_seq_s"):
        assert not check(problem, replace(selection, multipliers=replace(selection.multipliers, **{name: 0.25}))).holds


def test_a_required_request_must_be_served() -> None:
    """Not serving it keeps all limits, and is no answer."""
    problem = BatchProblem([[2.0], [3.0]], [[1], [1]], 1, required=[True, False])
    assert check(problem, greedy(problem)).holds
    reasons = check(problem, certify(problem, np.array([0, 1]), Multipliers())).reasons
    assert reasons == ("form[0]: 0 is not accepted; the request is required",)


def test_no_bound_where_a_required_request_fits_nowhere() -> None:
    """Then nothing is feasible."""
    problem = BatchProblem([[2.0]], [[2]], 1, required=[True])
    assert dual_bound(problem, Multipliers()) is None


def test_a_selection_that_is_said_to_break_a_limit_must() -> None:
    """As Algorithm 1's may; it is not feasible, and one that is feasible is not said to be so."""
    problem = BatchProblem.hybrid([9.0, 9.0], [5, 5], 5, 0.125)
    printed = greedy(problem, printed=True)
    assert not check(problem, printed).holds and check(problem, printed, exceeds=True).holds
    assert not check(problem, greedy(problem), exceeds=True).holds


def test_it_knows_no_method() -> None:
    """Nothing that it imports finds selections or bounds."""
    code = (
        "import proofs.certificate, sys, json; print(json.dumps([n for n in sys.modules if n[:4] in ('apts', 'solv')]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(json.loads(done.stdout)) <= KNOWN
