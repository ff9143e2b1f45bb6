"""The arithmetic slack of decodes, and what of prompts is due, by hand."""

from __future__ import annotations

import numpy as np

from aptsched.policies.arithmetic_slack import arithmetic_slack, tokens_due
from aptsched.scheduling.iteration_time import IterationTime


def test_decodes_leave_multiplication_idle_while_weights_are_read() -> None:
    """In 20 ms 200 tokens are multiplied; of them each of 50 decodes takes the time of a half."""
    times = IterationTime(fixed_s=0.02, per_token_s=1e-4, per_decode_s=-5e-5)
    assert np.isclose(arithmetic_slack(times, 0), 200) and np.isclose(arithmetic_slack(times, 50), 175)
    assert arithmetic_slack(times, 1000) == 0


def test_where_a_decode_takes_as_long_as_a_token_of_a_prompt_nothing_is_idle() -> None:
    """Then both wait for multiplication; and where tokens take no time there is nothing to spare."""
    assert arithmetic_slack(IterationTime(fixed_s=0.02, per_token_s=1e-4), 5) == 0
    assert arithmetic_slack(IterationTime(fixed_s=0.02, per_decode_s=-5e-5), 5) == 0


def test_the_pace_is_that_of_the_tightest_deadline() -> None:
    """Of 100 tokens due in two iterations and 500 in ten, 60 each are; of 300 in place of the 100, 150."""
    slack_s = np.array([1.0, 0.25])
    assert tokens_due(np.array([500, 100]), slack_s, 0.1) == 60
    assert tokens_due(np.array([500, 300]), slack_s, 0.1) == 150


def test_what_is_late_is_due_at_once() -> None:
    """A prompt without slack is due in one iteration, and without prompts nothing is."""
    assert tokens_due(np.array([70]), np.array([-3.0]), 0.1) == 70
    assert tokens_due(np.array([], np.int64), np.array([]), 0.1) == 0
