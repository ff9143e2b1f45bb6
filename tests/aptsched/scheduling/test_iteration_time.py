"""The time of an iteration as policies believe it."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aptsched.scheduling.forms import CacheForm
from aptsched.scheduling.iteration_time import IterationTime
from aptsched.support.errors import InputError
from caches import by_form
from odd_values import check_refused_or_taken


def test_a_form_that_reads_less_shortens_an_iteration() -> None:
    """With rho below 0: 3 blocks of a hidden request take 3/16 s from an iteration of a second."""
    times = IterationTime(fixed_s=1.0, rho_s_per_block=-1 / 16)
    assert times.predict(1, 0, by_form(hidden=3)) == 1 - 3 / 16
    assert times.added_s_per_block[CacheForm.HIDDEN] == -1 / 16


def test_a_decode_has_its_own_price() -> None:
    """Three tokens fed, of which two are decodes, each a quarter of a second cheaper than a prompt's."""
    times = IterationTime(fixed_s=1.0, per_token_s=0.5, per_decode_s=-0.25)
    assert times.predict(3, num_decodes=2) == 1 + 3 / 2 - 2 / 4


def test_who_feeds_a_prompt_pays_for_that_once() -> None:
    """An eighth of a second less with tokens of a prompt, however many, and nothing where all tokens are decodes'."""
    times = IterationTime(fixed_s=1.0, per_token_s=0.5, prefill_s=-0.125)
    assert [times.predict(count, num_decodes=2) for count in (2, 3, 9)] == [2.0, 2.375, 5.375]


@given(
    seconds=st.floats(0, 2),
    num_decodes=st.integers(0, 300),
    num_context=st.integers(0, 10**5),
    prefill_s=st.sampled_from([0.0, 0.01, -0.01]),
)
def test_as_many_tokens_of_prompts_are_within_a_time_as_it_is_predicted_for(
    seconds: float, num_decodes: int, num_context: int, prefill_s: float
) -> None:
    """So many are predicted to take no longer, but for rounding, and one more longer; none where it is too short."""
    times = IterationTime(0.02, 1e-4, 1e-6, per_decode_s=-5e-5, prefill_s=prefill_s)
    count = int(times.prompt_tokens_within(seconds, num_context, num_decodes=num_decodes))
    within, beyond = (times.predict(num_decodes + n, num_context, num_decodes=num_decodes) for n in (count, count + 1))
    assert within <= seconds + 1e-9 or count == 0
    assert beyond >= seconds - 1e-9


def test_any_number_of_tokens_is_within_a_time_where_tokens_take_none() -> None:
    """Infinitely many, or none where the rest takes too long."""
    times = IterationTime(fixed_s=0.5)
    assert [times.prompt_tokens_within(seconds) for seconds in (1.0, 0.25)] == [math.inf, 0.0]


@given(
    rho=st.floats(-1e9, 1e9),
    dequantise=st.floats(-1e9, 1e9),
    hidden=st.integers(0, 10**6),
    int8=st.integers(0, 10**6),
)
def test_no_prediction_is_below_0(rho: float, dequantise: float, hidden: int, int8: int) -> None:
    """Whatever the forms save."""
    times = IterationTime(0.02, 1e-4, 1e-6, rho, dequantise)
    assert times.predict(3, 100, by_form(hidden=hidden, int8=int8)) >= 0


def test_rebuilding_takes_rho_in_each_iteration_and_once() -> None:
    """Whatever was known of both before; the rest stays."""
    times = IterationTime(0.02, 1e-4, 1e-6, -1e-4, 1e-5, 2e-4).with_rebuilding(0.5)
    assert times == IterationTime(0.02, 1e-4, 1e-6, 0.5, 1e-5, 0.5)
    with pytest.raises(InputError, match="rho_s_per_block: -1 is not accepted"):
        times.with_rebuilding(-1)


@pytest.mark.parametrize("name", list(vars(IterationTime())))
@pytest.mark.parametrize("wrong", [-1.0, math.nan, math.inf, -2e9])
def test_a_time_that_is_none_is_named(name: str, wrong: float) -> None:
    """Only what a form, a decode or a prompt adds may be below 0, and nothing may be endless."""
    if wrong == -1.0 and name in ("rho_s_per_block", "dequantise_s_per_block", "per_decode_s", "prefill_s"):
        assert vars(IterationTime(**{name: wrong}))[name] == wrong
        return
    with pytest.raises(InputError, match=f"{name}: .*a finite number of seconds"):
        IterationTime(**{name: wrong})


@pytest.mark.parametrize("name", list(vars(IterationTime())))
def test_what_is_no_time_is_refused_by_one_message(name: str) -> None:
    """Text, containers, objects and huge numbers, also for what a form adds."""

    def made(value: Any) -> IterationTime:
        return IterationTime(**{name: value})

    check_refused_or_taken(made)
