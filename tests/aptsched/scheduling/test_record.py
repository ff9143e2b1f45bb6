"""Records of requests are values: equal where all that they say is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from aptsched.scheduling.columns import COUNTS, LABELS
from aptsched.scheduling.record import SLO, Outcome, RequestRecord

RECORD = RequestRecord(
    3, 0.5, 7, SLO(), np.array([1.0, 1.25]), Outcome.FINISHED, "", **dict.fromkeys((*LABELS, *COUNTS), 0)
)


def test_records_with_equal_fields_are_equal() -> None:
    """The times of the tokens count by their values, not as objects."""
    assert replace(RECORD, token_at_s=RECORD.token_at_s.copy()) == RECORD


def test_records_that_differ_anywhere_are_not_equal() -> None:
    """A token later, one more, another reason or another count; and nothing else is a record."""
    later, more = (replace(RECORD, token_at_s=np.array(times)) for times in ([1.0, 1.5], [1.0, 1.25, 1.5]))
    others = (later, more, replace(RECORD, reason="none"), replace(RECORD, num_preemptions=1), "a text")
    assert not any(RECORD == other for other in others)


def test_output_tokens_are_counted_by_their_times() -> None:
    """Each token has one time."""
    assert RECORD.num_output_tokens == 2
