"""The program of SLOs-Serve against enumeration, and the batches that follow from who is admitted."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aptsched import InputError
from aptsched.policies.admission_by_deadline import admission_by_deadline
from aptsched.policies.slos_serve import SLOsServe, prompt_tokens
from aptsched.scheduling.iteration_time import IterationTime
from aptsched.scheduling.record import SLO
from ended import ended
from simulated import replay_of, simulate
from views import Seen, running, view_of

TIMES = IterationTime(fixed_s=0.010, per_token_s=1e-4, per_context_token_s=1e-6)


Instance = tuple[list[float], list[int], list[int], list[bool], list[float], int]


@st.composite
def instances(draw: st.DrawFn) -> Instance:
    """Deadlines, tokens, units and who is forced, of up to six requests; speeds that fall; units in all."""
    count = draw(st.integers(0, 6))

    def several(numbers: st.SearchStrategy[int]) -> list[int]:
        return draw(st.lists(numbers, min_size=count, max_size=count))

    due_s = [each / 4 for each in several(st.integers(-4, 20))]
    forced = [each == 0 for each in several(st.integers(0, 3))]
    speed = sorted(draw(st.lists(st.integers(0, 200), min_size=count + 1, max_size=count + 1)), reverse=True)
    units = draw(st.integers(0, 8))
    return due_s, several(st.integers(1, 300)), several(st.integers(1, 5)), forced, [*map(float, speed)], units


def is_possible(selected: set[int], given: Instance) -> bool:
    """Whether these can be admitted beside those forced: by adding up from one deadline to the next."""
    due_s, tokens, units, forced, speed, max_units = given
    if sum(units[i] for i in selected) > max_units:
        return False
    left = alone = until_s = 0.0
    count = 0
    for i in sorted(range(len(due_s)), key=lambda i: (due_s[i], not forced[i], i)):
        gap_s = max(due_s[i] - until_s, 0.0)
        until_s += gap_s
        left, alone = left + gap_s * speed[count], alone + gap_s * speed[0]
        if forced[i]:
            left, alone = left - tokens[i], alone - tokens[i]
            if left < min(0.0, alone):
                return False
        elif i in selected:
            left, count = left - tokens[i], count + 1
            if left < 0:
                return False
    return True


@settings(max_examples=300, deadline=None)
@given(given=instances())
def test_as_many_are_admitted_as_enumeration_finds(given: Instance) -> None:
    """The selection is possible, no larger one is, and all that are forced are in it."""
    due_s, tokens, units, forced, speed, max_units = given
    most = len(due_s) - sum(forced) + 1
    found = admission_by_deadline(
        np.array(due_s), np.array(tokens, np.int64), np.array(units, np.int64), np.array(forced, np.bool_),
        np.array(speed[:most]), max_units,
    )  # fmt: skip
    free = [i for i in range(len(due_s)) if not forced[i]]
    selected = {i for i in free if found[i]}
    assert all(found[i] for i in range(len(due_s)) if forced[i]) and is_possible(selected, given)
    larger = combinations(free, len(selected) + 1)
    assert not any(is_possible(set(each), given) for each in larger)


def test_a_prompt_that_cannot_be_done_in_time_leaves_its_time_to_two_that_can() -> None:
    """1000 tokens a second: of 900 tokens due in 1 s, and twice 400 in 1.1 s, the two are admitted."""
    tokens, due_s = np.array([900, 400, 400]), np.array([1.0, 1.1, 1.1])
    found = admission_by_deadline(due_s, tokens, np.ones(3, np.int64), np.zeros(3, np.bool_), np.full(4, 1000.0), 9)
    assert found.tolist() == [False, True, True]
    two = admission_by_deadline(due_s, tokens, np.ones(3, np.int64), np.zeros(3, np.bool_), np.full(4, 1000.0), 1)
    assert two.sum() == 1


def test_a_batch_has_room_for_prompts_by_the_time_it_may_take() -> None:
    """30 ms, of which 10 are fixed, 1 for 10 decodes and 1 for 1000 tokens read: 180 tokens, 10 less with 10 more."""
    view = view_of([running(100) for _ in range(10)], times=TIMES)
    tokens, speed = prompt_tokens(view, view.running, 0.030, np.array([0, 10]))
    assert tokens == pytest.approx([180.0, 170.0]) and speed == pytest.approx([6000.0, 170 / 0.030])
    tokens, speed = prompt_tokens(view, view.running, 9.0, np.array([0]))
    assert tokens == pytest.approx([2038.0]) and speed == pytest.approx([2038 / 0.2158])


def test_who_cannot_be_in_time_gets_what_is_left() -> None:
    """In batches of 1000 tokens, 110 ms each, 4000 tokens are not done in 0.3 s, 500 are: the second one runs first."""
    requests = [Seen(4000, slo_ttft_s=0.3), Seen(500, slo_ttft_s=0.3)]
    plan = SLOsServe().decide(view_of(requests, num_blocks=600, max_tokens=1000, now_s=0.0, times=TIMES))
    assert (plan.request.tolist(), plan.num_tokens.tolist()) == ([1, 0], [500, 500])


def test_best_effort_requests_are_preempted_for_those_admitted() -> None:
    """One that came too late holds 7 of 10 blocks; a prompt that needs 4 and is in time takes its place."""
    policy = SLOsServe()
    policy.on_record(ended(60, 2))
    policy.decide(view_of([Seen(100, arrived_at_s=-9.0)], num_blocks=10, now_s=0.0, times=TIMES))
    view = view_of([running(100, arrived_at_s=-9.0), Seen(60)], num_blocks=10, now_s=0.0, times=TIMES)
    plan = policy.decide(view)
    assert (plan.preempt.tolist(), plan.request.tolist()) == ([0], [1])


def test_admitted_requests_go_by_deadline() -> None:
    """The later of two has the tighter objective, and its prompt is computed first."""
    policy = SLOsServe()
    policy.on_record(ended(60, 2))
    view = view_of([Seen(600, slo_ttft_s=2.0), Seen(600)], max_tokens=700, now_s=0.0, times=TIMES)
    assert policy.decide(view).request.tolist() == [1, 0]


def test_batches_keep_to_the_shortest_time_between_tokens() -> None:
    """Decodes at 40 ms beside a long prompt: no gap between tokens is 60 ms, where under vLLM v1 one is 100 ms."""
    replay = replay_of([(50, 40), (50, 40), (1500, 5)], [0.0, 0.0, 0.5], SLO(1.0, 0.04))
    longest = {}
    for name in ("vllm-v1", "slos-serve"):
        records = simulate(name, replay, 200).records
        longest[name] = max(float(np.diff(record.token_at_s).max()) for record in records if record.request_id < 2)
    assert longest["slos-serve"] < 0.06 < 0.1 < longest["vllm-v1"]


@pytest.mark.parametrize("quantile", [0.0, 1.5])
def test_bad_options_are_refused(quantile: float) -> None:
    """By one message with field, value and what is accepted."""
    with pytest.raises(InputError, match=f"quantile: {quantile} is not accepted"):
        SLOsServe(quantile)
