"""FastGen by hand: iterations of one size, and nobody preempted for others."""

from __future__ import annotations

import pytest

from aptsched import InputError
from aptsched.policies.fastgen import FastGen
from aptsched.scheduling.plan import ALWAYS
from views import Seen, running, view_of


def test_iterations_have_the_same_number_of_tokens() -> None:
    """Two decodes, the rest of a prompt that was begun, and a part of the next."""
    plan = FastGen(100).decide(view_of([running(30), running(5), Seen(60, num_cached=16), Seen(90), Seen(10)]))
    assert plan.request.tolist() == [0, 1, 2, 3] and plan.num_tokens.tolist() == [1, 1, 44, 54]


def test_a_prompt_is_begun_where_all_of_it_has_room() -> None:
    """One of 90 tokens needs 6 blocks, where 5 are free: it ends the queue, though the next would fit."""
    plan = FastGen().decide(view_of([running(30), Seen(90), Seen(10)], num_blocks=7))
    assert plan.request.tolist() == [0]


def test_a_decode_without_a_block_waits() -> None:
    """Two decodes have filled their blocks and one block is free: the second waits, a third goes on in its own."""
    plan = FastGen().decide(view_of([running(16), running(16), running(20)], num_blocks=5))
    assert plan.request.tolist() == [0, 2] and not len(plan.preempt) and plan.holds == 0


def test_where_nobody_can_be_fed_the_latest_makes_room() -> None:
    """All three have filled their blocks, and none is free: the last gives its own."""
    plan = FastGen().decide(view_of([running(16), running(16), running(16)], num_blocks=3))
    assert plan.request.tolist() == [0] and plan.preempt.tolist() == [2]


def test_decodes_hold() -> None:
    """While who waits has no room."""
    assert FastGen().decide(view_of([running(30), Seen(90)], num_blocks=7)).holds == ALWAYS


def test_a_target_of_no_tokens_is_refused() -> None:
    """By its name."""
    with pytest.raises(InputError, match=r"^target_tokens: 0"):
        FastGen(0)
