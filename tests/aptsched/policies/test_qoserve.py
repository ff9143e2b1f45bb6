"""QoServe by hand: chunks by slack, prompts by deadline and length, relegation."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aptsched import InputError
from aptsched.policies.due_times import due_s
from aptsched.policies.qoserve import QoServe
from aptsched.policies.sarathi import Sarathi
from aptsched.scheduling.plan import ALWAYS
from aptsched.scheduling.view import View
from views import Seen, running, view_of, views

# By `views.TIMES` an iteration takes 0.02 s, 0.1 ms a token and 1 us a cached token; it is 10 s now.
NEW = Seen(400, arrived_at_s=10.0)


def late_by(seconds: float, prompt: int = 100) -> Seen:
    """A decode of 100 cached tokens, the next of which was due so long ago; all objectives are 1 s."""
    return running(prompt, 1, arrived_at_s=8.0 - seconds)


@pytest.mark.parametrize(("slack_s", "chunk"), [(0.06, 298), (0.03, 127), (0.0, 127), (-1.0, 127), (1.0, 2499)])
def test_chunks_are_as_large_as_the_least_slack_allows(slack_s: float, chunk: int) -> None:
    """0.06 s / 1.2 - 0.02 s - 0.1 ms (its token) - 0.1 ms (its context) are 298 tokens; 128 to 2500 in all."""
    view = view_of([late_by(-slack_s), NEW], max_tokens=5000, num_blocks=1000)
    assert QoServe().chunk(view, QoServe().decide(view).request[:1]) == chunk


def test_the_decode_that_is_due_first_decides() -> None:
    """Of two decodes with slacks of 0.06 s and 0.5 s; without chunking by slack the chunk is fixed."""
    view = view_of([late_by(-0.06), late_by(-0.5), NEW])
    plan = QoServe().decide(view)
    assert plan.request.tolist() == [0, 1, 2] and plan.num_tokens.tolist() == [1, 1, 296]
    fixed = QoServe(chunking=False).decide(view)
    assert fixed.num_tokens.tolist() == [1, 1, 254]


def test_prompts_go_by_deadline_and_length() -> None:
    """At 8 ms a token 100 tokens more are 0.8 s: the second, due 0.5 s later, goes first; by deadline alone last."""
    view = view_of([Seen(200, arrived_at_s=9.5), Seen(100, arrived_at_s=10.0)], max_tokens=100)
    assert QoServe().decide(view).request.tolist() == [1]
    assert QoServe(hybrid=False).decide(view).request.tolist() == [0]
    assert QoServe(alpha_s_per_token=0.001).decide(view).request.tolist() == [0]


def test_a_begun_prompt_may_be_overtaken() -> None:
    """It keeps its blocks, and is not fed."""
    view = view_of([Seen(900, num_cached=100, arrived_at_s=9.9), Seen(50, arrived_at_s=10.0)], max_tokens=50)
    plan = QoServe().decide(view)
    assert plan.request.tolist() == [1] and not len(plan.preempt)


def test_who_cannot_make_its_first_token_goes_last() -> None:
    """Due at 10.02 s, 0.03 s of prefill away: relegated behind a longer one that is due later; not once it is begun."""
    doomed, fine = Seen(100, arrived_at_s=9.02), Seen(300, arrived_at_s=9.9)
    view = view_of([doomed, fine], max_tokens=100)
    assert QoServe().decide(view).request.tolist() == [1] and not len(QoServe().decide(view).reject)
    assert QoServe(relegation=False).decide(view).request.tolist() == [0]
    begun = view_of([replace(doomed, num_cached=16), fine], max_tokens=100)
    assert QoServe().decide(begun).request.tolist()[0] == 0


def test_a_plan_holds_until_somebody_is_relegated() -> None:
    """Of 8 blocks 6 are free for a prompt of 7, relegated from 10.0325 s on: others could go before it then."""
    plan = QoServe().decide(view_of([running(30), Seen(100, arrived_at_s=9.0625)], num_blocks=8))
    assert plan.holds == ALWAYS and plan.holds_until_s == pytest.approx(10.0325)


@settings(max_examples=100, deadline=None)
@given(view=views())
def test_all_decodes_are_fed_unless_blocks_run_out(view: View) -> None:
    """As many as the limits take; the number of tokens beside them is within the chunk."""
    policy = QoServe()
    plan = policy.decide(view)
    decodes = (view.running & (view.num_remaining == 1)).nonzero()[0]
    if len(plan.preempt) or len(plan.reject):
        return
    fed = set(plan.request.tolist())
    assert len(decodes) > min(view.max_tokens, view.max_seqs) or fed >= set(decodes.tolist())
    assert plan.num_tokens.sum() - len(fed & set(decodes.tolist())) <= policy.chunk(view, decodes)


@settings(max_examples=60, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 90), min_size=1, max_size=9), chunk=st.integers(10, 300), blocks=st.integers(6, 60)
)
def test_it_is_sarathi_where_nothing_of_it_is_in_use(lengths: list[int], chunk: int, blocks: int) -> None:
    """With equal objectives prompts go by arrival: who waits, beside two decodes, gets what Sarathi gives it."""
    waiting = [Seen(length, arrived_at_s=9 + i / 10) for i, length in enumerate(lengths)]
    view = view_of([running(20, arrived_at_s=8.0), running(30, arrived_at_s=8.5), *waiting], num_blocks=blocks)
    plain = QoServe(chunking=False, relegation=False, hybrid=False, fixed_chunk=chunk)
    ours, theirs = (each.decide(view) for each in (plain, Sarathi(chunk_tokens=chunk)))
    assert ours.request.tolist() == theirs.request.tolist() and ours.num_tokens.tolist() == theirs.num_tokens.tolist()


def test_tokens_are_due_at_the_pace_of_tpot() -> None:
    """The first at arrival + TTFT, the fourth 3 TPOT later."""
    view = view_of([Seen(10, slo_ttft_s=2.0), running(10, 3, slo_ttft_s=2.0, slo_tpot_s=0.25)])
    assert due_s(view, view.request_id).tolist() == [2.0, 2.75]


@pytest.mark.parametrize("name", ["max_chunk", "fixed_chunk", "alpha_s_per_token", "watermark"])
def test_options_out_of_range_are_named(name: str) -> None:
    """Each by its own name."""
    bad: dict[str, Any] = {name: -1}
    with pytest.raises(InputError, match=f"^{name}: "):
        QoServe(**bad)
