"""SLAI by hand: decodes at their last moment, prompts before them."""

from __future__ import annotations

from typing import Any

import pytest

from aptsched import InputError
from aptsched.policies.slai import SLAI
from aptsched.scheduling.plan import ALWAYS
from views import Seen, running, view_of

# An iteration of 512 tokens takes 0.0712 s by `views.TIMES`: five of them 0.356 s, ten 0.712 s. It is 10 s now.


def since(seconds: float, prompt: int = 20) -> Seen:
    """A decode whose newest token came so long ago; its TPOT is 1 s."""
    return running(prompt, last_token_at_s=10.0 - seconds)


def test_decodes_wait_until_their_last_moment() -> None:
    """0.7 s after its last token one is critical, 0.6 s after it another is not: a prompt goes before that."""
    plan = SLAI().decide(view_of([since(0.6), since(0.7), Seen(900)], num_blocks=200))
    assert plan.request.tolist() == [1, 2] and plan.num_tokens.tolist() == [1, 511]


def test_decodes_that_can_wait_get_what_prompts_leave() -> None:
    """A prompt of 510 tokens leaves one token beside the critical decode: of the others the most urgent gets it."""
    plan = SLAI().decide(view_of([since(0.1), since(0.2), since(0.7), Seen(510)], num_blocks=200))
    assert plan.request.tolist() == [1, 2, 3]


def test_decodes_are_critical_earlier_in_a_full_pool() -> None:
    """0.15 s are left of 1 s, iterations of 12 tokens take 0.022 s: not critical but with 44 of 45 blocks held."""
    requests = [since(0.85, 16 * 12 - 1), since(0.85, 16 * 12 - 1), Seen(600, num_cached=16 * 20 - 10)]
    for num_blocks, tokens in ((400, [12]), (45, [1, 1, 10])):
        assert SLAI(max_chunk=12).decide(view_of(requests, num_blocks)).num_tokens.tolist() == tokens


def test_who_waits_goes_by_priority_and_length() -> None:
    """The shortest of those of the lowest number."""
    view = view_of([Seen(500), Seen(300), Seen(200)], max_tokens=100)
    assert SLAI().decide(view).request.tolist() == [2]
    view.priority.setflags(write=True)
    view.priority[:] = [0, 0, 1]
    assert SLAI().decide(view).request.tolist() == [1]


def test_there_are_at_most_so_many_decodes() -> None:
    """The most urgent of them; a plan that leaves some out does not hold."""
    plan = SLAI(max_decodes=2).decide(view_of([since(0.1), since(0.3), since(0.2)]))
    assert plan.request.tolist() == [1, 2] and plan.holds == 0 and not plan.then_decodes
    assert SLAI().decide(view_of([since(0.1), since(0.3)])).holds == ALWAYS


@pytest.mark.parametrize("name", ["max_chunk", "max_decodes", "batches", "batches_when_full", "full", "watermark"])
def test_options_out_of_range_are_named(name: str) -> None:
    """Each by its own name."""
    bad: dict[str, Any] = {name: -1}
    with pytest.raises(InputError, match=f"^{name}: "):
        SLAI(**bad)
