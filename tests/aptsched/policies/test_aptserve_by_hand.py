"""Apt-Serve on a few requests: whom it admits, in which form, whom it promotes and whom it preempts."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
import pytest

from aptsched.policies.aptserve import AptServe
from aptsched.scheduling.forms import KV, CacheForm
from aptsched.scheduling.iteration_time import IterationTime
from aptsched.scheduling.plan import Plan
from views import Seen, running, view_of


def rows(plan: Plan) -> tuple[list[int], list[int]]:
    """Rows and forms of the entries."""
    return plan.request.tolist(), plan.form.tolist()


def test_a_lone_request_that_arrives_exactly_now() -> None:
    """It is admitted at once, even if iterations are believed to take no time."""
    for times in (IterationTime(), IterationTime(fixed_s=0.1)):
        assert rows(AptServe().decide(view_of([Seen(20, arrived_at_s=10.0)], times=times))) == ([0], [KV])


def test_a_lone_request_of_the_whole_pool() -> None:
    """A prompt that fills all blocks is admitted when nothing runs, without room for another token."""
    assert rows(AptServe().decide(view_of([Seen(1600)]))) == ([0], [KV])


def test_a_lone_request_that_fits_only_hidden() -> None:
    """Its rebuilding is not held against it, however dear: it has no other form."""
    dear = IterationTime(rho_s_per_block=100.0)
    assert rows(AptServe().decide(view_of([Seen(3000, arrived_at_s=9.9)], times=dear, max_tokens=4096))) == (
        [0],
        [CacheForm.HIDDEN],
    )


def test_iteration_type_by_pending_times() -> None:
    """One that waits for 0.3 s against two that run since 0.1 s, then since 0.2 s."""
    waits = Seen(20, arrived_at_s=9.7)
    recent = [running(30, last_token_at_s=9.9), running(30, last_token_at_s=9.9), waits]
    assert AptServe().decide(view_of(recent)).request.tolist() == [2]
    longer = [running(30, last_token_at_s=9.8), running(30, last_token_at_s=9.8), waits]
    assert AptServe().decide(view_of(longer)).request.tolist() == [0, 1]


def test_decodes_when_nobody_can_be_admitted() -> None:
    """However long a request waits, what runs goes on while there are no blocks for it."""
    view = view_of([Seen(600, arrived_at_s=0.0), running(48, 16), running(30)], num_blocks=7)
    assert AptServe().decide(view).request.tolist() == [1, 2]


def test_admission_leaves_the_block_of_the_next_decode() -> None:
    """Of two free blocks what runs needs one for its next token: a prompt of two waits, and three are enough."""
    requests = [running(16, 1), Seen(20, arrived_at_s=9.5)]
    assert AptServe().decide(view_of(requests, num_blocks=3, ratio=Fraction(1))).request.tolist() == [0]
    assert AptServe().decide(view_of(requests, num_blocks=4, ratio=Fraction(1))).request.tolist() == [1]


def test_hidden_where_memory_is_short_and_waiting_is_dear() -> None:
    """Two long pending requests of 10 blocks each share 15 blocks, one of them in hidden form."""
    requests = [Seen(150, arrived_at_s=9.5), Seen(150, arrived_at_s=9.5)]
    assert sorted(AptServe().decide(view_of(requests, num_blocks=15)).form.tolist()) == [KV, CacheForm.HIDDEN]


def test_kv_where_rebuilding_is_believed_to_be_free() -> None:
    """Of two forms worth the same KV is given as far as blocks are there."""
    requests = [Seen(150, arrived_at_s=9.5), Seen(150, arrived_at_s=9.5)]
    plan = AptServe().decide(view_of(requests, num_blocks=15, times=IterationTime()))
    assert sorted(plan.form.tolist()) == [KV, CacheForm.HIDDEN]


def test_no_hidden_where_rebuilding_is_dearer_than_waiting() -> None:
    """At a second a block for everyone who is pending, one of them waits instead."""
    requests = [Seen(150, arrived_at_s=9.5), Seen(150, arrived_at_s=9.5)]
    plan = AptServe().decide(view_of(requests, num_blocks=15, times=IterationTime(rho_s_per_block=1.0)))
    assert plan.form.tolist() == [KV]


def test_promotes_what_pays_most_for_its_blocks() -> None:
    """Eight spare blocks are enough to promote one of two hidden requests."""
    hidden = [running(150, 1, CacheForm.HIDDEN), running(150, 1, CacheForm.HIDDEN)]
    plan = AptServe().decide(view_of(hidden, num_blocks=18))
    assert plan.request.tolist() == [0, 1] and sorted(plan.form.tolist()) == [KV, CacheForm.HIDDEN]
    assert plan.convert.tolist() == plan.request[plan.form == KV].tolist()


def test_promotion_leaves_the_blocks_of_the_next_token() -> None:
    """A promotion that takes the last block, which the next token of the other one needs, is not made."""
    requests = [running(48, 1, CacheForm.HIDDEN), running(15, 1)]
    assert not len(AptServe().decide(view_of(requests, num_blocks=5)).convert)
    assert AptServe().decide(view_of(requests, num_blocks=6)).convert.tolist() == [0]


def test_no_promotion_while_the_next_tokens_lack_blocks() -> None:
    """A block is free, but the next token of each of the others needs one."""
    requests = [running(15, 1, CacheForm.HIDDEN), running(15, 1), running(15, 1), running(15, 1)]
    assert not len(AptServe().decide(view_of(requests, num_blocks=5)).convert)
    assert AptServe().decide(view_of(requests, num_blocks=8)).convert.tolist() == [0]


def test_preempts_as_few_as_blocks_need() -> None:
    """Three requests need a block more each, and one is free: the least valuable one makes room for the others."""
    requests = [running(32, last_token_at_s=since_s) for since_s in (9.5, 9.9, 9.6)]
    plan = AptServe().decide(view_of(requests, num_blocks=7))
    assert plan.request.tolist() == [0, 2] and plan.preempt.tolist() == [1]


def test_preempts_the_least_valuable_of_those_left_out() -> None:
    """Two of four are fed, which takes a block; of the other two the one with the newer token makes room."""
    requests = [running(32, last_token_at_s=since_s) for since_s in (9.8, 9.5, 9.6, 9.9)]
    plan = AptServe().decide(view_of(requests, num_blocks=9, max_seqs=2))
    assert plan.request.tolist() == [1, 2] and plan.preempt.tolist() == [3]


def test_who_missed_an_objective_gives_way() -> None:
    """Near zero: of two that wait for the same blocks, the one that can still meet its objective is admitted."""
    requests = [Seen(150, arrived_at_s=5.0), Seen(150, arrived_at_s=9.5)]
    view = view_of(requests, num_blocks=10, ratio=Fraction(1))
    assert AptServe(fallback="paper").decide(view).request.tolist() == [1]
    assert AptServe(fallback="decaying").decide(view).request.tolist() == [1]
    assert AptServe(fallback="none").decide(view).request.tolist() == [0]


def test_an_objective_that_passes_during_the_prefill_is_missed() -> None:
    """One pending for 0.95 s of 1 s cannot meet it in an iteration of 0.1 s; without fallback it would go first."""
    requests = [Seen(150, arrived_at_s=9.05), Seen(150, arrived_at_s=9.5)]
    view = view_of(requests, num_blocks=10, ratio=Fraction(1), times=IterationTime(fixed_s=0.1))
    assert AptServe().decide(view).request.tolist() == [1]
    assert AptServe(fallback="none").decide(view).request.tolist() == [0]


def test_who_missed_is_served_from_what_is_left() -> None:
    """Near zero is above zero."""
    view = view_of([Seen(20, arrived_at_s=1.0), Seen(20, arrived_at_s=9.9)])
    assert AptServe().decide(view).request.tolist() == [0, 1]


def test_a_prompt_beyond_the_token_budget() -> None:
    """Admitted with a chunk of the budget; the rest is fed beside the decodes, which never wait for it."""
    first = AptServe().decide(view_of([Seen(250)], max_tokens=100))
    assert first.num_tokens.tolist() == [100]
    later = view_of([Seen(250, num_cached=100), running(20)], max_tokens=100)
    assert AptServe().decide(later).num_tokens.tolist() == [99, 1]


def test_outgrown_the_pool_in_kv_form() -> None:
    """Its next token does not fit the pool with a KV cache: it is preempted and admitted in hidden form."""
    plan = AptServe().decide(view_of([running(150, 11)], num_blocks=10))
    assert plan.preempt.tolist() == [0] and rows(plan) == ([0], [CacheForm.HIDDEN])
    assert plan.num_tokens.tolist() == [161]


@pytest.mark.parametrize(("forms", "most"), [("hybrid", 320), ("kv", 160), ("hidden", 320)])
def test_rejects_what_the_pool_can_never_hold(forms: str, most: int) -> None:
    """Ten blocks hold 160 tokens of KV, or 320 hidden ones at a ratio of 1/2."""
    plan = AptServe(forms=forms).decide(view_of([Seen(most + 1), Seen(most)], num_blocks=10))
    assert plan.reject.tolist() == [0] and plan.request.tolist() == [1]


def seconds(arrivals: Sequence[float]) -> list[Seen]:
    """Requests of 20 tokens that wait."""
    return [Seen(20, arrived_at_s=arrived_at_s) for arrived_at_s in arrivals]


def test_penalty_counts_all_who_are_pending() -> None:
    """The hidden value is p - U rho m: U = 3 unfinished requests, of which one runs, and m = 2 blocks."""
    view = view_of([*seconds([9.4, 9.5]), running(60)], num_blocks=8, times=IterationTime(0.0, 0.0, 0.0, 0.01))
    problem = AptServe(watermark=0.0).decide(view).problem
    assert problem is not None
    np.testing.assert_allclose(problem.values, [[0.6, 0.6 - 3 * 0.01 * 2], [0.5, 0.5 - 3 * 0.01 * 2]])
    assert problem.weights.tolist() == [[2, 1], [2, 1]] and problem.capacity == 4
