"""Past-Future: admission by the future peak of memory."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from aptsched.policies.future_peak import leading_under_peak
from aptsched.policies.past_future import PastFuture
from aptsched.policies.recent_lengths import RecentLengths
from aptsched.scheduling.forms import KV
from aptsched.scheduling.record import Outcome
from ended import ended
from engine.loop.limits import Limits
from simulated import replay_of, serve, simulate
from views import Seen, running, view_of

WIDE = Limits(10**4, 64, 1000)


@given(prompts=st.lists(st.integers(1, 150), min_size=1, max_size=12), output=st.integers(1, 100))
def test_where_all_outputs_are_equal_the_peak_is_exact(prompts: list[int], output: int) -> None:
    """The longest prefix of a queue is admitted whose peak the pool holds; of an empty pool at least the first."""
    view = view_of([Seen(prompt) for prompt in prompts], num_blocks=20)
    policy = PastFuture(reserve=0.0, max_new_tokens=output)
    n = len(prompts)
    exact = leading_under_peak(view.cache, view.num_tokens, np.full(n, output), np.full(n, KV), 0, 20)
    assert policy.decide(view).request.tolist() == list(range(max(1, exact)))


@given(generated=st.lists(st.integers(0, 400), min_size=1, max_size=8), seed=st.integers(0, 99))
def test_samples_are_above_what_is_generated(generated: list[int], seed: int) -> None:
    """One token more at least, and for who has generated nothing one of the lengths seen."""
    policy = PastFuture(window=4, max_new_tokens=300, seed=seed)
    for length in (7, 90, 250, 30):
        policy.on_record(ended(10, length))
    view = view_of([Seen(10) if output == 0 else running(10, output) for output in generated], num_blocks=400)
    left = policy.sampled_left(view.num_tokens - view.num_prompt_tokens)
    assert (left >= 1).all()
    for output, more in zip(generated, left.tolist(), strict=True):
        assert output + more <= max(300, output + 1)
        assert output or more in (7, 30, 90, 250)


@given(lengths=st.lists(st.integers(1, 9), max_size=30), window=st.integers(1, 7), places=st.lists(st.integers(0, 6)))
def test_recent_lengths_are_those_of_the_window_in_order(lengths: list[int], window: int, places: list[int]) -> None:
    """As a list of the last ones, sorted: how many there are, up to any length, and which is at any place."""
    recent, listed = RecentLengths(5, max(1, window // 2), window), [5] * max(1, window // 2)
    for length in lengths:
        recent.add(length)
    kept = sorted([*listed, *lengths][-window:])
    assert (len(recent), recent.largest) == (len(kept), kept[-1])
    up_to = np.arange(11)
    assert recent.num_up_to(up_to).tolist() == [sum(length <= most for length in kept) for most in up_to]
    inside = [place for place in places if place < len(kept)]
    assert recent.at(np.array(inside, np.int64)).tolist() == [kept[place] for place in inside]


def test_it_learns_from_what_has_finished() -> None:
    """Until then outputs of 1024 tokens are feared, and one request fills the pool; of short ones all fit."""
    view, policy = view_of([Seen(16)] * 8, num_blocks=70), PastFuture(window=3)
    assert len(policy.decide(view).request) == 1
    for _ in range(3):
        policy.on_record(ended(10, 5, Outcome.ABORTED))
    assert len(policy.decide(view).request) == 1
    for _ in range(3):
        policy.on_record(ended(10, 5))
    assert len(policy.decide(view).request) == 8


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 9))
def test_nobody_is_preempted_where_outputs_are_known(seed: int) -> None:
    """Forty requests over a pool for a dozen, all with as much output as the policy knows: none is recomputed."""
    replay = replay_of([(20, 60)] * 40, [0.02 * i for i in range(40)])
    careful = serve(PastFuture(max_new_tokens=60, seed=seed), replay, 60, WIDE)
    assert sum(record.num_preemptions for record in careful.records) == 0
    assert sum(record.num_preemptions for record in simulate("vllm-v1", replay, 60, WIDE).records) > 10


def test_samples_are_those_of_the_seed() -> None:
    """The same seed serves alike, another one otherwise."""
    replay = replay_of([(20, 3 + 7 * i % 60) for i in range(40)], [0.02 * i for i in range(40)])
    first, again, other = (
        simulate(f"past-future:max_new_tokens=60:seed={seed}", replay, 60, WIDE).timeline() for seed in (1, 1, 2)
    )
    assert first == again != other
