"""Iterations with a deadline: the token budget is cut to what is believed to be in time, and nobody starves."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import simulated
from aptsched.policies.named import load_policy
from aptsched.scheduling.forms import CacheForm
from aptsched.scheduling.iteration_time import IterationTime
from aptsched.scheduling.record import Outcome
from aptsched.support.errors import InputError
from engine.loop.limits import Limits
from hash_executor import expected_tokens
from loop_runs import EOS, SEEDS, check_conserved, make_requests, make_run, request_of
from views import Seen, view_of

TIMES = IterationTime(fixed_s=0.5, per_token_s=0.125, per_context_token_s=0.015625, rho_s_per_block=0.25)
POLICIES = (
    "fcfs",
    "vllm-v1",
    "sarathi",
    "fastserve",
    "random",
    "aptserve",
    "aptserve:forms=kv",
    "aptserve:order=fcfs",
    "aptserve:as=paper",
)
VIEW = view_of(
    [
        Seen(40, num_output_tokens=1, num_cached=40),
        Seen(20, num_output_tokens=1, num_cached=20, form=CacheForm.HIDDEN),
        Seen(100),
        Seen(50, num_output_tokens=1, num_cached=50, form=CacheForm.HIDDEN, swapped=True),
    ],
    max_tokens=64,
    times=TIMES,
    num_host_blocks=10,
)


@pytest.mark.parametrize(
    ("max_iteration_s", "max_tokens"),
    [(3.1875, 10), (3.2, 10), (3.1874, 9), (2.3125, 3), (1e-9, 3), (9.9375, 64), (1e9, 64), (None, 64)],
)
def test_the_budget_is_what_time_is_left_for(max_iteration_s: float | None, max_tokens: int) -> None:
    """Reading the 40 + 20 tokens of two that run and rebuilding 2 blocks takes 1.9375 s with what is fixed; a token
    takes 0.125 s. A token for each of the two and one more are there in any case."""
    assert Limits(max_iteration_s=max_iteration_s).within_deadline(VIEW).max_tokens == max_tokens


def test_what_a_prompt_takes_beside_its_tokens_is_set_aside() -> None:
    """A quarter of a second of the 10 tokens that are there without it are 2 of them."""
    view = dataclasses.replace(VIEW, times=dataclasses.replace(TIMES, prefill_s=0.25))
    assert Limits(max_iteration_s=3.1875).within_deadline(view).max_tokens == 8


def test_without_a_deadline_nothing_is_cut() -> None:
    """The view stays the same object, also where a token is believed to take no time."""
    assert Limits().within_deadline(VIEW) is VIEW
    timeless = dataclasses.replace(VIEW, times=IterationTime(fixed_s=5.0))
    assert Limits(max_iteration_s=1.0).within_deadline(timeless) is timeless


def test_a_budget_that_is_smaller_than_the_number_of_those_that_run_stays() -> None:
    """What an iteration may have at most is never raised."""
    assert Limits(max_iteration_s=1e-9).within_deadline(dataclasses.replace(VIEW, max_tokens=2)).max_tokens == 2


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf, "soon"])
def test_a_deadline_that_is_none_is_refused(value: Any) -> None:
    """The message names the field."""
    with pytest.raises(InputError, match=r"^max_iteration_s: .* is not accepted; a finite number of seconds above 0"):
        Limits(max_iteration_s=value)


@settings(max_examples=60)
@given(SEEDS, st.sampled_from(POLICIES), st.sampled_from([1e-6, 0.01, 0.02]))
def test_nobody_starves_and_iterations_are_in_time(seed: int, name: str, max_iteration_s: float) -> None:
    """At a millisecond a token, as is believed: an iteration takes longer only by what each that runs is owed."""
    rng = np.random.default_rng(seed)
    times, limits = IterationTime(per_token_s=0.001), Limits(64, 8, 70, max_iteration_s)
    policy = simulated.Seen(load_policy(name))
    run = make_run(policy, make_requests(rng, 8), limits=limits, times=times, num_host_blocks=10)
    run.loop.run(run.requests)
    check_conserved(run)
    for request in run.requests:
        if run.record(request.request_id).outcome is Outcome.FINISHED:
            assert request.output_token_ids == expected_tokens(request, 70, EOS)
        else:
            assert "the pool has 20" in run.record(request.request_id).reason
    for view, iteration in zip(policy.views, run.iterations, strict=True):
        owed_s = 0.001 * (np.count_nonzero(view.running) + 1)
        assert iteration.duration_s <= max(max_iteration_s, owed_s) + 1e-9


def test_a_long_prompt_comes_in_chunks_beside_decodes() -> None:
    """Of 60 tokens no more than 9 an iteration beside a decode, which has its tokens every 10 ms all along."""
    requests = [request_of(0, 5, max_tokens=9, ignore_eos=True), request_of(1, 60, 0.001, max_tokens=2)]
    limits = Limits(64, 8, 70, max_iteration_s=0.010)
    run = make_run(load_policy("vllm-v1"), requests, limits=limits, times=IterationTime(per_token_s=0.001))
    run.loop.run(requests)
    assert [(each.num_prefill_tokens, each.num_decode_tokens) for each in run.iterations[:8]] == [
        (5, 0),
        *[(9, 1)] * 6,
        (6, 1),
    ]
    assert np.diff(run.record(0).token_at_s)[:6] == pytest.approx(0.010)
