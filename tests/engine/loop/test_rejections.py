"""What is refused when it is added, what is rejected, and with which words."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from aptsched.scheduling.plan import Plan
from aptsched.scheduling.record import Outcome
from aptsched.scheduling.view import View
from aptsched.support.errors import InputError
from engine.loop.limits import Limits
from engine.state.request import Request
from loop_runs import All, OneByOne, check_conserved, make_run, request_of
from random_policy import RandomPolicy


@pytest.mark.parametrize("requests", [[None], ["request"]])
def test_what_is_no_request_is_refused(requests: list[Any]) -> None:
    """By its type; the requests behind it have their record."""
    run = make_run(All(), [request_of(0, 9)])
    with pytest.raises(InputError, match=r"requests: \w+ is not accepted; each is a Request"):
        run.loop.run([*requests, *run.requests])
    assert [record.outcome for record in run.records] == [Outcome.UNFINISHED]


def test_what_can_never_be_served_is_rejected_with_the_numbers() -> None:
    """A prompt of the whole context, an empty one, one larger than the pool in any form; the others go on."""
    lengths = [70, 0, 65, 64, 20]
    run = make_run(
        RandomPolicy(np.random.default_rng(0)), [request_of(i, n) for i, n in enumerate(lengths)], num_blocks=2
    )
    run.loop.run(run.requests)
    check_conserved(run)
    assert [run.record(i).outcome for i in (0, 1, 2, 4)] == [Outcome.REJECTED] * 3 + [Outcome.FINISHED]
    assert run.record(0).reason == "num_prompt_tokens: 70 is not accepted; 1 to 69 are, as the context length is 70"
    assert run.record(1).reason.startswith("num_prompt_tokens: 0 is not accepted")
    assert run.record(2).reason == "65 tokens need 5 blocks in KV form and 3 in hidden form; the pool has 2"
    assert run.record(3).reason.startswith("outgrew the pool: 65 tokens need 5 blocks in KV form and 3 in hidden form")
    assert len(run.record(3).token_at_s) == 1


def test_a_policy_that_gives_up_says_so_with_numbers() -> None:
    """The loop writes what the request needs, and what there is."""

    class GivesUp(OneByOne):
        def decide(self, view: View) -> Plan:
            return Plan(reject=np.array([0])) if view.num_tokens[0] > 20 else super().decide(view)

    run = make_run(GivesUp(), [request_of(0, 19, max_tokens=5, ignore_eos=True), request_of(1, 30)])
    run.loop.run(run.requests)
    check_conserved(run)
    expected = "given up by the policy: 21 tokens need 2 blocks in KV form and 1 in hidden form; the pool has 20"
    assert (run.record(0).outcome, run.record(0).reason) == (Outcome.REJECTED, expected)
    assert len(run.record(0).token_at_s) == 2 and not len(run.record(1).token_at_s)


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (request_of(1, 5, 0.4), "arrived_at_s: 0.4 of request 1 is not accepted; 0.5 or later is, in order of arrival"),
        (request_of(1, 5, math.nan), "arrived_at_s: nan of request 1 is not accepted"),
        (request_of(0, 5, 0.5), "request_id: 0 is not accepted; numbers not being served are"),
    ],
)
def test_a_request_that_cannot_be_told_apart_or_comes_late_is_refused(second: Request, message: str) -> None:
    """The message names the request and what is accepted."""
    run = make_run(OneByOne(), [])
    run.loop.add(request_of(0, 5, 0.5))
    with pytest.raises(InputError, match=message):
        run.loop.add(second)


@pytest.mark.parametrize("limits", [{"max_tokens": 0}, {"max_seqs": 0}, {"max_context": 1}])
def test_limits_below_the_least_are_refused(limits: dict[str, int]) -> None:
    """The message names the field."""
    with pytest.raises(InputError, match=f"^{next(iter(limits))}: "):
        Limits(**limits)


def test_a_request_that_was_served_before_is_refused() -> None:
    """Its output would count twice."""
    run = make_run(OneByOne(), [request_of(0, 5)])
    run.loop.run(run.requests)
    with pytest.raises(InputError, match="tokens of request 0 are not accepted; requests without output are"):
        run.loop.run(run.requests)
