"""How much output is expected still: all tokens generated so far, over the requests that finished."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from aptsched.policies.output_lengths import OutputLengths
from aptsched.scheduling.columns import COUNTS, LABELS
from aptsched.scheduling.record import SLO, Outcome, RequestRecord
from views import Seen, running, view_of

NOBODY = view_of([])
NO_COUNTS: dict[str, Any] = dict.fromkeys((*LABELS, *COUNTS), 0)
FINISHED = RequestRecord(0, 0.0, 5, SLO(), np.ones(30), Outcome.FINISHED, **NO_COUNTS)


def seen(*records: RequestRecord) -> OutputLengths:
    """The lengths of these records."""
    lengths = OutputLengths()
    for record in records:
        lengths.add(record)
    return lengths


def test_the_mean_of_those_that_finished() -> None:
    """30 and 10 tokens where nobody is unfinished: 20."""
    assert seen(FINISHED, replace(FINISHED, token_at_s=np.ones(10))).expected_left(NOBODY) == 20.0


def test_unfinished_requests_count_by_their_tokens_so_far() -> None:
    """One of 30 tokens finished, and two others have 12 and 0 so far: 42 in all, for one end."""
    assert seen(FINISHED).expected_left(view_of([running(50, 12), Seen(80)])) == 42.0


def test_a_request_that_was_broken_off_has_not_come_to_its_end() -> None:
    """30 tokens and an end, 30 of an aborted one, none of a rejected one: 60 for one end."""
    aborted, rejected = replace(FINISHED, outcome=Outcome.ABORTED), replace(FINISHED, outcome=Outcome.REJECTED)
    assert seen(FINISHED, aborted, replace(rejected, token_at_s=np.empty(0))).expected_left(NOBODY) == 60.0


def test_before_anybody_has_finished() -> None:
    """All tokens count as of one request, and at least one token is expected."""
    assert seen().expected_left(NOBODY) == 1.0
    assert seen().expected_left(view_of([running(50, 12), running(10, 3)])) == 15.0


def test_it_finds_the_mean_where_most_are_broken_off() -> None:
    """Of geometric lengths of mean 40, cut off at 25 tokens, it is within 5% of 40; the others' mean is below 14."""
    lengths = np.random.default_rng(0).geometric(1 / 40, 20_000)
    records = [
        replace(FINISHED, token_at_s=np.zeros(min(n, 25)), outcome=Outcome.FINISHED if n <= 25 else Outcome.ABORTED)
        for n in lengths.tolist()
    ]
    assert abs(seen(*records).expected_left(NOBODY) / 40 - 1) < 0.05
    assert lengths[lengths <= 25].mean() < 14
