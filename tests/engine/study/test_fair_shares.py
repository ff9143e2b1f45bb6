"""VTC: what tenants are served beside each other."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aptsched.policies.vtc import VTC
from aptsched.workload.own_columns import OwnColumns
from engine.loop.limits import Limits
from engine.study.replay import Replay
from simulated import Served, replay_of, replays, simulate
from views import Seen, view_of

FOUR = Limits(256, 4, 100)
MANY = 10**4  # blocks: nobody is preempted


def of_tenants(replay: Replay, tenant: list[int]) -> Replay:
    """The same requests, each of one of two tenants."""
    return dataclasses.replace(replay, own=OwnColumns(tenant=np.array(tenant), tenants=("a", "b")))


def spread(served: Served, replay: Replay, tenant: list[int]) -> float:
    """The largest difference between two tenants' weighted tokens, over all spans in which both have somebody waiting.

    Such a span goes from one decision to another; here it is one, as both have from the first on.
    """
    begun: set[int] = set()
    leads = []
    for view, plan in zip(served.seen.views, served.seen.plans, strict=True):
        if len(set(view.tenant[~view.running].tolist())) < 2:
            break
        tokens = {record.request_id: int((record.token_at_s <= view.now_s).sum()) for record in served.records}
        served_of = [0, 0]
        for number in begun:
            served_of[tenant[number]] += int(replay.num_prompt_tokens[number]) + 2 * tokens[number]
        leads.append(served_of[0] - served_of[1])
        begun.update(view.request_id[plan.request].tolist())
    return max(leads) - min(leads)


@settings(max_examples=25, deadline=None)
@given(replay=replays())
def test_one_tenant_is_served_as_by_fcfs(replay: Replay) -> None:
    """With nobody to be fair to, the same tokens come at the same times."""
    first, second = (simulate(name, replay, 12, Limits(128, 4, 100)).timeline() for name in ("vtc", "fcfs"))
    assert repr(first) == repr(second)


@settings(max_examples=25, deadline=None)
@given(data=st.data(), prompts=st.tuples(st.integers(1, 60), st.integers(1, 60)), longest=st.integers(1, 20))
def test_two_tenants_with_work_are_served_alike(data: st.DataObject, prompts: tuple[int, int], longest: int) -> None:
    """However their lengths and order differ, by up to 2 max(w_in L, w_out M) while both wait (VTC, theorem 4.4)."""
    tenant = data.draw(st.lists(st.integers(0, 1), min_size=30, max_size=50))
    outputs = data.draw(st.lists(st.integers(1, longest), min_size=len(tenant), max_size=len(tenant)))
    replay = of_tenants(replay_of([(prompts[of], output) for of, output in zip(tenant, outputs, strict=True)]), tenant)
    if len(set(tenant)) == 2:
        most_cached = FOUR.max_seqs * (max(prompts) + longest)
        assert spread(simulate("vtc", replay, MANY, FOUR), replay, tenant) <= 2 * max(max(prompts), 2 * most_cached)


def test_by_arrival_they_are_not() -> None:
    """Thirty requests of one tenant before thirty of the other: the spread is that of all of the first."""
    tenant = [0] * 30 + [1] * 30
    replay = of_tenants(replay_of([(20, 10)] * 60), tenant)
    fair, by_arrival = (spread(simulate(name, replay, MANY, FOUR), replay, tenant) for name in ("vtc", "fcfs"))
    assert fair <= 2 * (20 + 2 * 10) and by_arrival > 25 * (20 + 2 * 10)


def test_who_comes_late_has_no_claim_on_the_past() -> None:
    """One at a time: tenant b comes when a has been served six; from then on they take turns, a's are not put off."""
    one, lengths = Limits(256, 1, 100), [(20, 5)] * 10
    alone = simulate("vtc", replay_of(lengths), MANY, one).timeline()
    late_s = alone[6][1][0]  # a's seventh is being served
    replay = of_tenants(replay_of([*lengths, (20, 5), (20, 5)], [0.0] * 10 + [late_s] * 2), [0] * 10 + [1] * 2)
    assert simulate("vtc", replay, MANY, one).admitted() == [0, 1, 2, 3, 4, 5, 6, 10, 7, 11, 8, 9]


@pytest.mark.parametrize(("prompt", "admitted"), [(100, [0]), (16, [0, 2, 1])])
def test_the_first_that_does_not_fit_holds_up_all(prompt: int, admitted: list[int]) -> None:
    """After a's first prompt the next is b's: while it does not fit, a's small one waits too; else it is the third."""
    view = dataclasses.replace(view_of([Seen(40), Seen(16), Seen(prompt)], num_blocks=8), tenant=np.array([0, 0, 1]))
    assert VTC(watermark=0).decide(view).request.tolist() == admitted
