"""The trace type."""

from __future__ import annotations

import re
from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from aptsched.support.errors import InputError
from aptsched.workload import Trace
from traces import arrivals


def test_len_is_the_number_of_requests() -> None:
    """The length of a trace is its number of requests."""
    assert len(Trace(None, [3, 4], [1, 0])) == 2


def test_unsorted_arrivals_are_sorted_with_their_lengths_and_ties_keep_their_order() -> None:
    """Arrivals are sorted on construction, stably, and lengths go with them."""
    trace = Trace([2.0, 0.0, 2.0, 1.0], [1, 2, 3, 4], [5, 6, 7, 8])
    assert arrivals(trace).tolist() == [0.0, 1.0, 2.0, 2.0]
    assert trace.prompt_tokens.tolist() == [2, 4, 1, 3]
    assert trace.output_tokens.tolist() == [6, 8, 5, 7]


@pytest.mark.parametrize("arrived", [[0.0, 1.0], [1.0, 0.0]])
def test_the_arrays_are_read_only_copies(arrived: list[float]) -> None:
    """Neither the caller's arrays nor a method can change a trace."""
    prompts = np.array([1, 2])
    trace = Trace(arrived, prompts, [1, 1])
    prompts[:] = 9
    assert sorted(trace.prompt_tokens.tolist()) == [1, 2]
    for column in (arrivals(trace), trace.prompt_tokens, trace.output_tokens):
        with pytest.raises(ValueError, match="read-only"):
            column[0] = 7
    with pytest.raises(FrozenInstanceError):
        trace.__setattr__("arrived_at_s", None)


@pytest.mark.parametrize(
    ("arrived", "prompts", "outputs", "message"),
    [
        (None, [0, 1], [1, 1], "prompt_tokens[0]: 0 is not accepted; whole numbers from 1 to 2**32 are"),
        (None, [1, 1.5], [1, 1], "prompt_tokens[1]: 1.5 is not accepted; whole numbers from 0 to 2**32 are"),
        (None, [1, float("nan")], [1, 1], "prompt_tokens[1]: nan is not finite; finite numbers are accepted"),
        (None, [1, 1], [1, -1], "output_tokens[1]: -1 is not accepted; whole numbers from 0 to 2**32 are"),
        (None, [1, 1], [1], "output_tokens: shape [1] does not match; [2] is needed"),
        (None, [], [], "prompt_tokens: shape [0] is empty; at least one request is needed"),
        ([0.0], [1, 1], [1, 1], "arrived_at_s: shape [1] does not match; [2] is needed"),
        ([0.0, -1.0], [1, 1], [1, 1], "arrived_at_s[1]: -1.0 is not accepted; seconds of at least 0 are"),
        ([0.0, np.inf], [1, 1], [1, 1], "arrived_at_s[1]: inf is not finite; finite numbers are accepted"),
    ],
)
def test_bad_columns(arrived: list[float] | None, prompts: list[float], outputs: list[float], message: str) -> None:
    """A bad column is refused with its name, the value and what is accepted."""
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        Trace(arrived, prompts, outputs)
