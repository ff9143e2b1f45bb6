"""BatchProblem: what it accepts and keeps, and the arithmetic of definition 1."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, replace
from fractions import Fraction
from math import ceil
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aptsched import BatchProblem, greedy
from aptsched.support.checks import MAX_COUNT

ARRAYS = ("values", "weights", "num_tokens", "required")


def full() -> BatchProblem:
    """A problem with every field given."""
    return BatchProblem(
        values=[[3.0, 2.0], [1.0, 0.5]],
        weights=[[4, 2], [2, 1]],
        capacity=5,
        num_tokens=[7, 8],
        max_tokens=9,
        max_seqs=2,
        required=[True, False],
    )


def test_fields_become_arrays_of_fixed_types() -> None:
    """Lists are accepted; values are float64, counts int64, flags bool, limits plain ints."""
    problem = full()
    assert [getattr(problem, name).dtype for name in ARRAYS] == [np.float64, np.int64, np.int64, np.bool_]
    assert (problem.num_requests, problem.num_forms) == (2, 2)
    limits: dict[str, Any] = {"capacity": np.int64(5), "max_tokens": np.int32(9), "max_seqs": np.uint8(2)}
    with_numpy_limits = replace(problem, **limits)
    assert [type(limit) for limit in (with_numpy_limits.capacity, with_numpy_limits.max_seqs)] == [int, int]


def test_fields_cannot_be_set() -> None:
    """The dataclass is frozen."""
    problem = full()
    with pytest.raises(FrozenInstanceError):
        problem.capacity = 6  # type: ignore[misc]


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_are_read_only(name: str) -> None:
    """Writing into an array of the problem is an error."""
    array = getattr(full(), name)
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 0


def test_input_arrays_are_copied() -> None:
    """Neither can a caller change the problem later, nor are the caller's arrays locked."""
    given_arrays: dict[str, Any] = {
        "values": np.array([[3.0], [1.0]]),
        "weights": np.array([[4], [2]]),
        "num_tokens": np.array([7, 8]),
        "required": np.array([True, False]),
    }
    problem = BatchProblem(**given_arrays, capacity=5, max_tokens=9)
    for name, array in given_arrays.items():
        before = getattr(problem, name).copy()
        assert not np.shares_memory(array, getattr(problem, name))
        array[0] = 0
        assert np.array_equal(getattr(problem, name), before)


def test_unchecked_takes_the_arrays_themselves() -> None:
    """The same fields and answer as with checks; the arrays are not copied, and locked."""
    checked = full()
    fields = {name: getattr(checked, name) for name in checked.__dataclass_fields__}
    arrays = {name: fields[name].copy() for name in ARRAYS}
    problem = BatchProblem.unchecked(**{**fields, **arrays})
    assert problem.__dict__.keys() == checked.__dict__.keys()
    for name, array in arrays.items():
        assert getattr(problem, name) is array
        assert not array.flags.writeable
    assert greedy(problem).form.tolist() == greedy(checked).form.tolist()
    with pytest.raises(FrozenInstanceError):
        problem.capacity = 6  # type: ignore[misc]


def test_whole_floats_are_weights() -> None:
    """Weights of float type are accepted where whole."""
    assert BatchProblem(values=[[1.0]], weights=[[4.0]], capacity=5).weights.tolist() == [[4]]


def test_hybrid_is_definition_1() -> None:
    """p = 3 s, m = 5, penalty 0.25 s a block: KV is worth 3 s for 5 blocks, hidden 3 - 1.25 s for ceil(5 / 2)."""
    problem = BatchProblem.hybrid([3.0, 1.0], [5, 2], capacity=7, penalty_s_per_block=0.25)
    assert problem.values.tolist() == [[3.0, 1.75], [1.0, 0.5]]
    assert problem.weights.tolist() == [[5, 3], [2, 1]]
    assert problem.capacity == 7


def test_hybrid_passes_the_optional_fields_on() -> None:
    """Token budget, sequence limit and required requests are those of the problem."""
    problem = BatchProblem.hybrid(
        [3.0], [5], 7, 0.25, num_tokens=[4], max_tokens=6, max_seqs=8, required=np.array([True])
    )
    assert problem.num_tokens is not None and problem.num_tokens.tolist() == [4]
    assert problem.required is not None and problem.required.tolist() == [True]
    assert (problem.max_tokens, problem.max_seqs) == (6, 8)


@given(
    blocks=st.lists(st.integers(0, MAX_COUNT), min_size=1, max_size=5),
    ratio=st.builds(Fraction, st.integers(1, 10**30), st.integers(10**30, 10**40)) | st.sampled_from([Fraction(1, 3)]),
)
def test_hidden_weights_are_exact(blocks: list[int], ratio: Fraction) -> None:
    """ceil(m * ratio) for any fraction, however large its terms."""
    problem = BatchProblem.hybrid([1.0] * len(blocks), blocks, 1, 0.0, hidden_ratio=ratio)
    assert problem.weights[:, 1].tolist() == [ceil(m * ratio) for m in blocks]


@pytest.mark.parametrize(
    ("ratio", "hidden"),
    [
        (Fraction(1, 2), 4),
        (Fraction(3, 4), 6),
        (Fraction(1, 3), 3),
        (1, 7),
        (2, 14),
        (0.5, 4),
        ("5/2", 18),
        (2**20, 7 * 2**20),
    ],
)
def test_hidden_ratios(ratio: Fraction | float | str, hidden: int) -> None:
    """7 blocks in KV; fractions, floats and strings are ratios, also above 1."""
    assert BatchProblem.hybrid([1.0], [7], 1, 0.0, hidden_ratio=ratio).weights.tolist() == [[7, hidden]]


def test_three_forms() -> None:
    """A third, quantised form is one more column."""
    problem = BatchProblem(values=[[3.0, 2.0, 1.5]], weights=[[8, 4, 2]], capacity=4)
    assert problem.num_forms == 3
    assert problem.fits_alone().tolist() == [[False, True, True]]


def test_forms_that_cannot_fit_alone() -> None:
    """Too many blocks removes a form; too many tokens, all forms of the request."""
    assert full().fits_alone().tolist() == [[True, True], [True, True]]
    assert replace(full(), capacity=2).fits_alone().tolist() == [[False, True], [True, True]]
    assert replace(full(), max_tokens=7).fits_alone().tolist() == [[True, True], [False, False]]
    assert replace(full(), capacity=0).fits_alone().any() == np.False_
