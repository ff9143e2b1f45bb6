"""SCORPIO by hand: its guard of first tokens, its guard of decodes, and credits."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from aptsched import InputError
from aptsched.policies.scorpio import Scorpio
from aptsched.scheduling.columns import COUNTS, LABELS
from aptsched.scheduling.plan import ALWAYS
from aptsched.scheduling.record import SLO, Outcome, RequestRecord
from views import Seen, running, view_of

# By `views.TIMES` a prompt of 200 tokens takes 0.02 + 0.02 + 0.05 s here. It is 10 s now, and objectives are 1 s.


def test_who_would_be_late_behind_those_before_it_is_rejected() -> None:
    """The second is done at 10.11 s, and due at 10.1 s; without its tokens the third is in time, at 10.11 s."""
    requests = [Seen(200, arrived_at_s=9.09), Seen(200, arrived_at_s=9.1), Seen(200, arrived_at_s=9.12)]
    plan = Scorpio().decide(view_of(requests))
    assert plan.request.tolist() == [0, 2] and plan.reject.tolist() == [1]
    assert plan.reject_reasons == [
        "its prompt, behind those that are due before, would take 0.01 s longer than its first token may"
    ]


def test_who_is_due_first_goes_first() -> None:
    """Whatever the order of arrival; who was preempted after its first token is not rejected, and goes by its next."""
    view = view_of([Seen(400, slo_ttft_s=9.0), Seen(300), Seen(200, 2, last_token_at_s=5.0)], now_s=0.5)
    view = replace(view, max_tokens=100)
    plan = Scorpio().decide(view)
    assert plan.request.tolist() == [1] and not len(plan.reject)


def test_requests_are_admitted_while_decodes_keep_their_pace() -> None:
    """n of them take 0.02 s + n 0.11 ms, as each reads 10.5 tokens; 1.3 times that is below 0.99 of 28 ms up to 11."""
    requests = [Seen(10, slo_tpot_s=0.028, arrived_at_s=9.9) for _ in range(30)]
    admitted = len(Scorpio().decide(view_of(requests)).request)
    assert admitted == 11


def test_requests_of_a_looser_pace_count_for_less() -> None:
    """With a TPOT of 0.28 s each but the first is a tenth of a request."""
    loose = [Seen(10, slo_tpot_s=0.28, arrived_at_s=9.9) for _ in range(60)]
    tight = Seen(10, slo_tpot_s=0.028, arrived_at_s=9.8)
    admitted = len(Scorpio().decide(view_of([tight, *loose], num_blocks=500)).request)
    assert admitted == 61


def test_decodes_come_as_often_as_their_pace_asks() -> None:
    """Of a TPOT four times the tightest one in four iterations; all in each where they are equal, which holds."""
    view = view_of([running(10, slo_tpot_s=0.05), running(10, slo_tpot_s=0.2)])
    policy = Scorpio()
    fed = [len(policy.decide(view).request) for _ in range(8)]
    assert fed == [1, 1, 1, 2, 1, 1, 1, 2] and policy.decide(view).holds == 0
    assert Scorpio().decide(view_of([running(10), running(12)])).holds == ALWAYS


def test_lengths_of_outputs_are_learnt() -> None:
    """After outputs of 30,000 tokens the context of a decode is predicted to be so long that only one is admitted."""
    policy, view = Scorpio(), view_of([Seen(10, slo_tpot_s=0.05, arrived_at_s=9.9)] * 5)
    assert len(policy.decide(view).request) == 5
    counts: dict[str, Any] = dict.fromkeys((*LABELS, *COUNTS), 0)
    policy.on_record(RequestRecord(9, 0.0, 5, SLO(), np.ones(30_000), Outcome.FINISHED, **counts))
    assert len(policy.decide(view).request) == 1


@pytest.mark.parametrize("name", ["max_chunk", "extra_s", "factor", "margin", "watermark"])
def test_options_out_of_range_are_named(name: str) -> None:
    """Each by its own name."""
    bad: dict[str, Any] = {name: -1}
    with pytest.raises(InputError, match=f"^{name}: "):
        Scorpio(**bad)
