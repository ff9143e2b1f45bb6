"""What iterations took, as a policy sees it: what is learnt from, and what is not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from aptsched.policies.step_times import StepTimes
from aptsched.scheduling.columns import COUNTS, LABELS
from aptsched.scheduling.iteration_time import IterationTime
from aptsched.scheduling.plan import Plan
from aptsched.scheduling.record import SLO, Outcome, RequestRecord
from aptsched.scheduling.view import View
from views import TIMES, Seen, running, view_of

NO_COUNTS: dict[str, Any] = dict.fromkeys((*LABELS, *COUNTS), 0)
PROMPT = Seen(100, arrived_at_s=9.0)


def fed(*num_tokens: int, **more: Any) -> Plan:
    """A plan that feeds the first rows so many tokens."""
    count = len(num_tokens)
    return Plan(np.arange(count), np.array(num_tokens), np.ones(count, np.int64), **more)


def times_after(first: View, plan: Plan, second: View) -> IterationTime:
    """The times at the second view, where the plan was that for the first."""
    steps = StepTimes()
    assert steps.times(first) == TIMES
    steps.decided(first, plan)
    return steps.times(second)


def test_an_iteration_with_a_prompt_is_learnt_from_at_once() -> None:
    """Believed to take 0.03 s it takes 0.3 s: the next is predicted to be nearer to that."""
    after = times_after(view_of([PROMPT]), fed(100), view_of([running(100, arrived_at_s=9.0)], now_s=10.3))
    assert 0.25 < after.predict(100) <= 0.3


def test_time_in_which_nobody_was_there_is_no_iteration() -> None:
    """All had ended, and the loop waited for the next to arrive."""
    after = times_after(view_of([PROMPT]), fed(100), view_of([Seen(50, arrived_at_s=20.0)], now_s=20.0))
    assert after == TIMES


@pytest.mark.parametrize("moved", ["convert", "swap_out", "swap_in"])
def test_iterations_that_move_caches_are_not_learnt_from(moved: str) -> None:
    """What that takes is not predicted."""
    more: dict[str, Any] = {moved: np.array([1])}
    seen = [PROMPT, running(20, arrived_at_s=9.0)]
    assert times_after(view_of(seen), fed(100, **more), view_of(seen, now_s=12.0)) == TIMES


def test_an_idle_decision_is_not_learnt_from() -> None:
    """Nor is the time until the next one."""
    assert times_after(view_of([PROMPT]), Plan(), view_of([PROMPT], now_s=15.0)) == TIMES


def decoded(steps: StepTimes, told: bool) -> IterationTime:
    """Times after two requests decoded for a second, one 10 tokens, the other 4, with which it ended, and a prompt."""
    steps.times(view_of([running(20), running(30)]))
    steps.decided(view_of([running(20), running(30)]), fed(1, 1))
    if told:
        ended_at_s = np.append(np.ones(4), 10.4)
        steps.on_record(RequestRecord(1, 0.0, 30, SLO(), ended_at_s, Outcome.FINISHED, **NO_COUNTS))
    later = view_of([running(20, 11, last_token_at_s=11.0), Seen(100, arrived_at_s=10.9)], now_s=11.0)
    later = replace(later, request_id=np.array([0, 7]))
    assert steps.times(later) == TIMES
    steps.decided(later, fed(1, 100))
    return steps.times(replace(later, now_s=11.02))


def test_decodes_in_a_row_are_learnt_from_as_one_once_another_iteration_is_over() -> None:
    """Ten iterations of 0.1 s each, believed to take a fifth of that."""
    after = decoded(StepTimes(), told=True)
    assert after.predict(1, 25, num_decodes=1) > 0.07
    assert after != decoded(StepTimes(), told=False)


def test_decodes_of_who_is_gone_are_not_learnt_from_where_nobody_was_told() -> None:
    """How many there were is not known then: what is learnt is the prompt's iteration alone, of 0.02 s."""
    after = decoded(StepTimes(), told=False)
    assert after.predict(101, 30, num_decodes=1) == pytest.approx(0.02, rel=0.05)
    assert after.predict(1, 25, num_decodes=1) < 0.03
