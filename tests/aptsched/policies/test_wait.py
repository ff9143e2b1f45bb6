"""WAIT and Nested WAIT: thresholds, and what is in service."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aptsched.policies.named import load_policy
from aptsched.policies.nested_wait import NestedWAIT
from aptsched.policies.wait import WAIT, type_of
from aptsched.support.errors import InputError
from ended import ended
from engine.loop.limits import Limits
from simulated import replay_of, simulate
from views import Seen, running, view_of

LIKE = st.lists(st.tuples(st.integers(32, 60), st.integers(1, 12)), min_size=1, max_size=8)
BOTH = ("wait", "nested-wait")


@pytest.mark.parametrize("name", BOTH)
@settings(max_examples=20, deadline=None)
@given(lengths=LIKE, gap_s=st.sampled_from([0.0, 0.05, 1.0]))
def test_one_in_service_is_one_at_a_time(name: str, lengths: list[tuple[int, int]], gap_s: float) -> None:
    """With a limit of one, requests of one type are served one after the other, as `vllm-v1` does with one sequence."""
    replay = replay_of(lengths, [gap_s * i for i in range(len(lengths))])
    limited = simulate(f"{name}:limit=1", replay, 40, Limits(2048, 8, 100)).timeline()
    assert repr(limited) == repr(simulate("vllm-v1", replay, 40, Limits(2048, 1, 100)).timeline())


@pytest.mark.parametrize("name", BOTH)
@settings(max_examples=20, deadline=None)
@given(lengths=LIKE, limit=st.integers(1, 5))
def test_no_more_are_in_service_than_the_limit(name: str, lengths: list[tuple[int, int]], limit: int) -> None:
    """In no iteration, whatever their outputs."""
    served = simulate(f"{name}:limit={limit}", replay_of(lengths), 100, Limits(2048, 8, 100))
    assert max(len(plan.request) for plan in served.seen.plans) <= limit


def test_thresholds_by_hand() -> None:
    """Two types as in the text's example: 50 + 156 tokens, 5.4 times as often as 100 + 171.

    With 54 and 10 of them and 175 in service, one iteration of the first takes 175 * 54 / (54 * 157 + 10 * 172) = 0.93
    of it, one of the second 0.17: each type admits one an iteration. With 20 in service, the share of the first is
    below 19: where so many run, only the second is admitted, whose share is between 1 and 2.
    """

    def admitted(limit: int, num_running: int) -> list[int]:
        policy = WAIT(limit=limit)
        for prompt, output in [(50, 156)] * 54 + [(100, 171)] * 10:
            policy.on_record(ended(prompt, output))
        requests = [*[running(50)] * num_running, Seen(50), Seen(50), Seen(100), Seen(100)]
        rows = policy.decide(view_of(requests, num_blocks=10**4)).request
        return [row - num_running for row in rows.tolist() if row >= num_running]

    assert admitted(175, 0) == admitted(20, 10) == [0, 2]
    assert admitted(20, 19) == [2]


def test_a_type_waits_for_its_threshold() -> None:
    """Requests of one type, of one output token each: 12 in service are 6 an iteration, and five have to wait.

    Where nobody runs they need not.
    """
    policy = WAIT(limit=12)
    policy.on_record(ended(50, 1))
    few, enough = (view_of([running(50), *[Seen(50)] * count], num_blocks=10**4) for count in (5, 6))
    assert policy.decide(few).request.tolist() == [0]
    assert policy.decide(enough).request.tolist() == list(range(7))
    assert len(policy.decide(view_of([Seen(50)] * 5)).request) == 5


def test_the_limit_is_what_the_pool_holds() -> None:
    """Of requests with 40 tokens of prompt and 240 of output, 160 on average: a pool of 1600 tokens holds ten."""
    policy = WAIT()
    policy.on_record(ended(40, 240))
    for count, admitted in ((9, 1), (10, 0)):
        view = view_of([*[running(40, 2)] * count, Seen(40)], num_blocks=100)
        assert len(policy.decide(view).request) - count == admitted


@given(st.integers(0, 40), st.data())
def test_types_are_prompts_from_a_power_of_two_to_the_next(digits: int, data: st.DataObject) -> None:
    """Number d has prompts from 2^(d - 1) to 2^d - 1."""
    prompt = data.draw(st.integers(2**digits, 2 ** (digits + 1) - 1))
    assert type_of(np.array([prompt])).tolist() == [digits + 1]


def learnt(limit: int) -> NestedWAIT:
    """Two segments, of 10 and of 30 tokens: half of the requests end with the first."""
    policy = NestedWAIT(limit=limit, segments=2, margin=0.0)
    for output in (10, 40):
        policy.on_record(ended(10, output))
    return policy


def test_requests_wait_at_the_start_of_a_segment() -> None:
    """50 in service: n (10 + 30 / 2) = 50, so 2 an iteration enter the first segment and 1 the second, of 30.

    One that stands at the start of the second goes on, of two only the first. Without one there, who is inside waits;
    the first segment has enough of its own, or not.
    """
    inside, at_start, first = running(10, 20), running(10, 10), running(10, 3)

    def served(*requests: Seen) -> list[int]:
        return [*map(int, learnt(50).decide(view_of(requests, num_blocks=500)).request)]

    assert served(inside, at_start, at_start) == [0, 1]
    assert served(inside, first, Seen(5), Seen(5), Seen(5)) == [1, 2, 3]
    assert served(inside, at_start, Seen(5)) == [0, 1]
    assert served(inside, first, Seen(5)) == [0, 1]  # no segment is ready: all that run go on


def test_a_threshold_of_a_half_lets_one_in_every_other_time() -> None:
    """25 in service: one an iteration enters the first segment, and half a one the second, whose others go on."""
    policy, view = learnt(25), view_of([running(10, 20), running(10, 10)], num_blocks=500)
    assert [policy.decide(view).request.tolist() for _ in range(4)] == [[0], [0, 1]] * 2


def test_nested_before_anything_has_finished_is_vllm_v1() -> None:
    """Up to the limit, which is that of sequences here, requests are admitted as blocks are free."""
    replay = replay_of([(20, 30)] * 20)
    first, second = (simulate(name, replay, 40, Limits(2048, 8, 100)) for name in ("nested-wait:limit=8", "vllm-v1"))
    until = min(record.token_at_s[-1] for record in second.records)
    for ours, theirs, view in zip(first.seen.plans, second.seen.plans, second.seen.views, strict=False):
        assert view.now_s >= until or ours.request.tolist() == theirs.request.tolist()


@pytest.mark.parametrize("name", ["wait:limit=-1", "wait:output_tokens=0", "nested-wait:segments=0"])
def test_bad_options(name: str) -> None:
    """An option out of range is named."""
    with pytest.raises(InputError, match=name.partition(":")[2].partition("=")[0]):
        load_policy(name)
