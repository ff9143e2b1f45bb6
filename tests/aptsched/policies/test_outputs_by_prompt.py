"""Outputs predicted from those of requests that finished."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from aptsched.policies.outputs_by_prompt import FIRST, OutputsByPrompt
from aptsched.scheduling.record import Outcome
from aptsched.support.checks import Ints
from ended import ended


def ints(*values: int) -> Ints:
    """As columns have them."""
    return np.array(values, np.int64)


def seen(*lengths: tuple[int, int]) -> OutputsByPrompt:
    """What is learnt from requests of these prompts and outputs."""
    outputs = OutputsByPrompt()
    for prompt, output in lengths:
        outputs.add(ended(prompt, output))
    return outputs


def test_at_first_all_are_taken_to_be_of_one_length() -> None:
    """Whatever the prompt; who has generated more than half of that is taken to generate as much again."""
    outputs = seen()
    assert outputs.mean(ints(3, 900, 5), ints(0, 0, 200)).tolist() == [FIRST, FIRST, 400]
    assert outputs.quantile(ints(3), ints(0), 0.95).tolist() == [FIRST]


def test_the_mean_is_of_those_longer_than_what_was_generated() -> None:
    """10, 20 and 60 tokens: 30 at first, 40 beyond 10, 60 beyond 20; who has outgrown all, twice its own."""
    outputs = seen((8, 10), (8, 20), (8, 60))
    assert outputs.mean(ints(9, 9, 9, 9), ints(0, 10, 20, 200)).tolist() == [30, 40, 60, 400]


def test_quantiles_are_of_those_longer_than_what_was_generated() -> None:
    """Of 1 to 100 the 95th; of 51 to 100 that are left the 48th, 98."""
    outputs = seen(*((8, length) for length in range(1, 101)))
    assert outputs.quantile(ints(8, 8, 8), ints(0, 50, 100), 0.95).tolist() == [95, 98, 256]


def test_prompts_of_like_size_count_once_there_are_enough() -> None:
    """20 prompts of 8 to 15 tokens with 5 tokens of output, 19 of 64 with 50: for these all count."""
    outputs = seen(*[(8, 5)] * 20, *[(64, 50)] * 19)
    short, long = outputs.mean(ints(15, 100), ints(0, 0)).tolist()
    assert (short, round(long, 3)) == (5, round((100 + 950) / 39, 3))


def test_who_was_broken_off_teaches_nothing() -> None:
    """Its output is no length that a request came to by itself."""
    outputs = OutputsByPrompt()
    outputs.add(ended(8, 99, Outcome.ABORTED))
    assert outputs.mean(ints(8), ints(0)).tolist() == [FIRST]


@given(
    lengths=st.lists(st.tuples(st.integers(1, 300), st.integers(1, 300)), max_size=60),
    prompt=st.integers(1, 300),
    generated=st.integers(0, 400),
    shares=st.tuples(st.floats(0.01, 1), st.floats(0.01, 1)),
)
def test_predictions_lie_beyond_what_was_generated(
    lengths: list[tuple[int, int]], prompt: int, generated: int, shares: tuple[float, float]
) -> None:
    """At least a token is to come; a higher share is no lower; the whole of those seen is their longest."""
    outputs, of = seen(*lengths), (ints(prompt), ints(generated))
    low, high = (outputs.quantile(*of, share).item() for share in sorted(shares))
    assert generated + 1 <= low <= high and outputs.mean(*of).item() >= generated + 1
    longer = [output for _, output in lengths if output > generated]
    assert not longer or high <= max(longer)
