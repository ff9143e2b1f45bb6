"""Prices of an iteration's amounts, fitted to how long iterations took."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aptsched.policies.times_fit import FITTED, TimesFit
from aptsched.scheduling.iteration_time import IterationTime
from aptsched.support.checks import Floats
from views import TIMES

SEEDS = st.integers(0, 2**32 - 1)
TRUE = IterationTime(
    0.012, 8e-5, 2e-7, rho_s_per_block=2e-4, dequantise_s_per_block=5e-5, per_decode_s=1e-4, prefill_s=3e-3
)


def amounts_of(rng: np.random.Generator) -> Floats:
    """What some iteration does: decodes, half of the time with a prompt, some of them in other forms."""
    decodes, prompt = rng.integers(1, 200), rng.integers(0, 1500) * rng.integers(0, 2)
    context, blocks = decodes * rng.integers(50, 900), rng.integers(0, 300, 2)
    return np.array([1, decodes + prompt, context, decodes, prompt > 0, *blocks], np.float64)


def took_s(times: IterationTime, amounts: Floats) -> float:
    """Seconds of such an iteration by these times."""
    return float(amounts @ [getattr(times, name) for name in FITTED])


def fitted(believed: IterationTime, rng: np.random.Generator, count: int, pauses: int = 0) -> TimesFit:
    """The fit to so many iterations that take what is true; of these a few, at random, last for seconds."""
    fit, paused = TimesFit(believed), set(rng.choice(count, pauses, replace=False).tolist())
    for i in range(count):
        amounts = amounts_of(rng)
        fit.add(amounts, took_s(TRUE, amounts) + (i in paused) * rng.uniform(1, 5))
    return fit


def worst_error(times: IterationTime, rng: np.random.Generator) -> float:
    """The largest relative error of fifty predictions."""
    several = [amounts_of(rng) for _ in range(50)]
    return max(abs(took_s(times, each) / took_s(TRUE, each) - 1) for each in several)


@settings(max_examples=20, deadline=None)
@given(SEEDS, st.sampled_from([TIMES, IterationTime(), replace(TRUE, per_token_s=0.0)]))
def test_linear_times_are_found(seed: int, believed: IterationTime) -> None:
    """Whatever was believed, nothing at all too, 300 iterations are predicted within 2%."""
    rng = np.random.default_rng(seed)
    assert worst_error(fitted(believed, rng, 300).times, rng) < 0.02


@settings(max_examples=20, deadline=None)
@given(SEEDS)
def test_pauses_count_for_little(seed: int) -> None:
    """Three of a hundred iterations last for seconds: the others are predicted within 10%."""
    rng = np.random.default_rng(seed)
    assert worst_error(fitted(TIMES, rng, 300, pauses=9).times, rng) < 0.10


def test_what_was_not_seen_is_as_it_was_believed() -> None:
    """Decodes alone say nothing of what rebuilding takes, nor that a conversion takes another time."""
    fit = TimesFit(TIMES)
    for size in range(1, 50):
        fit.add(np.array([1.0, size, 300.0 * size, size, 0.0, 0.0, 0.0]), 0.01 + 1e-4 * size)
    assert fit.times.rho_s_per_block == TIMES.rho_s_per_block
    assert fit.times.rebuild_s_per_block == TIMES.rebuild_s_per_block


def test_times_follow_a_machine_that_becomes_slower() -> None:
    """Five hundred iterations at twice the time outweigh all before them."""
    rng = np.random.default_rng(0)
    fit = fitted(TRUE, rng, 300)
    for _ in range(500):
        amounts = amounts_of(rng)
        fit.add(amounts, 2 * took_s(TRUE, amounts))
    amounts = amounts_of(rng)
    assert took_s(fit.times, amounts) == pytest.approx(2 * took_s(TRUE, amounts), rel=0.05)


@given(st.lists(st.tuples(st.integers(0, 400), st.floats(0, 1e6)), max_size=30))
def test_any_times_give_times(seen: list[tuple[int, float]]) -> None:
    """Prices are numbers that `IterationTime` accepts, whatever iterations take, and no decode takes less than 0 s."""
    fit = TimesFit(TIMES)
    for size, seconds in seen:
        fit.add(np.array([1.0, size, 9.0 * size, size, 0.0, 0.0, 0.0]), seconds)
        assert fit.times.per_token_s + fit.times.per_decode_s >= 0
