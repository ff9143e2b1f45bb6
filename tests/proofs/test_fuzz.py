"""Random instances against enumeration in whole numbers: every method keeps its word."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest

from aptsched.problem import instance
from brute_force import base_value, enumerate_all, num_constraints
from proofs import enumeration, fuzz
from proofs.small_instances import KINDS, random_batch

NUM_INSTANCES = int(os.environ.get("APTSCHED_FUZZ", "100000"))
NUM_CHUNKS = 20
SEED = 20251125


@pytest.mark.parametrize("chunk", range(NUM_CHUNKS))
def test_every_answer_keeps_its_word(chunk: int, record_property: Callable[[str, object], None]) -> None:
    """Feasible, within its factor of the optimum, certified; exact where it says so; nothing more could be filled."""
    counts = list(fuzz.run([SEED, chunk], NUM_INSTANCES // NUM_CHUNKS))
    assert counts[-1] == NUM_INSTANCES // NUM_CHUNKS
    record_property("instances", counts[-1])


def test_the_enumeration_is_that_of_one_instance_at_a_time() -> None:
    """Optimum, overload, number of limits and base value, on batches of all kinds."""
    rng = np.random.default_rng(3)
    for _ in range(60):
        batch = random_batch(rng, 8)
        optima = enumeration.enumerate_all(batch)
        for row in range(len(batch)):
            problem = batch.problem(row)
            best = enumerate_all(problem)
            assert optima.feasible[row] == (best.optimum is not None)
            assert best.optimum in (None, int(optima.optimum[row]) * Fraction(batch.unit))
            assert tuple(optima.overload[row]) == best.overload
            assert optima.num_limits[row] == num_constraints(problem)
            assert int(optima.base[row]) * Fraction(batch.unit) == base_value(problem)


def test_the_instances_are_of_all_sorts() -> None:
    """Each number of limits, required requests that fit and that do not, misfits, ties, forms without weight."""
    seen: set[tuple[object, ...]] = set()
    rng = np.random.default_rng(4)
    for _ in range(200):
        batch = random_batch(rng, 20)
        optima = enumeration.enumerate_all(batch)
        seen |= {("limits", int(number)) for number in optima.num_limits}
        seen |= {("forms", batch.values.shape[2]), ("requests", batch.values.shape[1])}
        seen |= {("feasible", bool(ok), batch.required is not None) for ok in optima.feasible}
        seen |= {("misfit", bool(some)) for some in np.any(batch.weights > batch.capacity[:, None, None], axis=(1, 2))}
        seen |= {("weightless", bool((batch.weights == 0).any())), ("worthless", bool((batch.values <= 0).any()))}
    assert {("limits", number) for number in range(4)} <= seen
    assert {("forms", number) for number in (1, 2, 3)} | {("requests", number) for number in range(1, 6)} <= seen
    assert {("feasible", True, False), ("feasible", True, True), ("feasible", False, True)} <= seen
    assert {(name, flag) for name in ("misfit", "weightless", "worthless") for flag in (True, False)} <= seen
    assert len(KINDS) == 7


def test_the_command_prints_count_and_rate(capsys: pytest.CaptureFixture[str]) -> None:
    """By count or by time."""
    assert fuzz.main(["--instances", "300", "--seed", "5"]) == 0
    assert capsys.readouterr().out.startswith("300 instances, no violation, ")
    assert fuzz.main(["--minutes", "1e-9"]) == 0
    assert capsys.readouterr().out.startswith("0 instances, no violation, ")


def test_a_violation_is_printed_with_its_instance(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a file that can be solved, after what does not hold; the exit code is 1."""
    monkeypatch.setattr(
        enumeration, "NEVER", 10**6
    )  # an enumeration that is wrong, so that there is something to print
    assert fuzz.main(["--instances", "300"]) == 1
    what, document, summary = capsys.readouterr().out.splitlines()
    assert what.startswith("violation: ") and "a violation" in summary
    assert instance.from_dict(json.loads(document)).num_requests > 0
