"""How long outputs last, against what is known of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aptsched.policies.output_survival import FIRST_TOKENS, WIDTH, OutputSurvival
from aptsched.scheduling.record import Outcome
from ended import ended

NOBODY = np.empty(0, np.int64)


def learnt(outputs: list[int], prompt: int = 100, running: list[int] | None = None) -> OutputSurvival:
    """What is learnt from requests that finished with these outputs, beside some that go on."""
    lengths = OutputSurvival()
    for output in outputs:
        lengths.add(ended(prompt, output))
    going = np.array(running or [], np.int64)
    lengths.update(np.full(len(going), prompt), going)
    return lengths


def left(lengths: OutputSurvival, prompt: int, generated: int) -> float:
    """Tokens expected still of one request."""
    return float(lengths.expected_left(np.array([prompt]), np.array([generated]))[0])


def test_before_anybody_has_ended() -> None:
    """All outputs are taken to have a mean of so many tokens and no memory."""
    lengths = learnt([])
    assert left(lengths, 10, 0) == pytest.approx(FIRST_TOKENS, rel=0.05)
    assert left(lengths, 900, 800) == pytest.approx(left(lengths, 10, 0))


def test_equal_outputs_are_known() -> None:
    """Of four hundred outputs of 200 tokens what is left is known to a step, and when they end."""
    lengths = learnt([200] * 400)
    for generated in (0, 64, 128):
        assert left(lengths, 100, generated) == pytest.approx(200 - generated, abs=WIDTH)
    soon, later = (lengths.ends_within(np.array([100]), np.array([100]), tokens)[0] for tokens in (50, 120))
    assert soon < 0.05 and later > 0.9


def test_lengths_go_by_the_size_of_the_prompt() -> None:
    """Short outputs of short prompts and long ones of long prompts are told apart; another size is in between."""
    lengths = OutputSurvival()
    for _ in range(200):
        lengths.add(ended(20, 40))
        lengths.add(ended(1000, 400))
    lengths.update(NOBODY, NOBODY)
    assert left(lengths, 20, 0) < 80 < left(lengths, 150, 0) < 300 < left(lengths, 1000, 0)


def test_those_that_go_on_count() -> None:
    """Ten short ones have ended, and ninety have generated 400 tokens: far more than the short mean is expected."""
    assert left(learnt([20] * 10), 100, 0) < 60
    assert left(learnt([20] * 10, running=[400] * 90), 100, 0) > 250


@given(outputs=st.lists(st.integers(1, 3000), min_size=1, max_size=60), prompt=st.integers(1, 4000))
def test_chances_are_chances(outputs: list[int], prompt: int) -> None:
    """What is left is a number from 1 on; the chance to end is from 0 to 1, and no smaller within more tokens."""
    lengths, generated = learnt(outputs, prompt), np.arange(0, 12000, 77)
    prompts = np.full(len(generated), prompt)
    expected = lengths.expected_left(prompts, generated)
    assert np.isfinite(expected).all() and (expected >= 1).all()
    chances = [lengths.ends_within(prompts, generated, tokens) for tokens in (1.0, 100.0, 1e9)]
    assert all((chance >= 0).all() and (chance <= 1).all() for chance in chances)
    assert (chances[0] <= chances[1]).all() and (chances[1] <= chances[2]).all()


def test_a_broken_off_output_has_not_ended() -> None:
    """Aborted requests say that outputs are at least as long, and never that they end."""
    lengths = learnt([50] * 20)
    before = left(lengths, 100, 0)
    for _ in range(200):
        lengths.add(ended(100, 300, Outcome.ABORTED))
    lengths.update(NOBODY, NOBODY)
    assert left(lengths, 100, 0) > before
