"""An executor of the user's own that returns what is no result of its batch: one message, and nothing leaks."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from aptsched.scheduling.record import Outcome
from aptsched.support.errors import InputError
from engine.loop.limits import Limits
from engine.state.batch import Batch, Step
from loop_runs import All, OneByOne, check_conserved, make_requests, make_run

STEPS: list[tuple[Callable[[Batch, np.ndarray], Any], str]] = [
    (lambda batch, ids: None, "executor: NoneType is not accepted; a Step is"),
    (lambda batch, ids: (0.5, ids), "executor: tuple is not accepted; a Step is"),
    (lambda batch, ids: Step(0.5, ids.tolist()), r"token_ids: list of shape \[\d\] is not accepted; int64 of shape"),
    (lambda batch, ids: Step(0.5, ids.astype(float)), r"token_ids: float64 of shape \[\d\] is not accepted; int64"),
    (
        lambda batch, ids: Step(0.5, ids[:-1]),
        r"token_ids: int64 of shape \[\d\] is not accepted; int64 of shape \[\d\] is",
    ),
    (lambda batch, ids: Step(0.5, ids[:, None]), r"token_ids: int64 of shape \[\d, 1\] is not accepted"),
    (lambda batch, ids: Step(0.5, -2 - ids), r"token_ids: \[-.* is not accepted; a number of at least 0 for each"),
    *(
        (lambda batch, ids, given=given: Step(given, ids), f"duration_s: {shown} is not accepted; a finite number")
        for given, shown in ((-1e-9, "-1e-09"), (math.nan, "nan"), (math.inf, "inf"), (None, "None"), ("1", "'1'"))
    ),
]  # what is made of a batch and the tokens that are right, and the message


@pytest.mark.parametrize(("made", "message"), STEPS)
def test_what_is_no_result_of_the_batch_is_refused(made: Callable[[Batch, np.ndarray], Any], message: str) -> None:
    """It ends the run in the third iteration, with a record for each request and all blocks free."""
    run = make_run(All(), make_requests(np.random.default_rng(3), 12), limits=Limits(64, 8, 70))
    whole, num_runs = run.executor.run, iter(range(1, 10**6))

    def wrong(batch: Batch) -> Any:
        step = whole(batch)
        return made(batch, step.token_ids) if next(num_runs) == 3 else step

    run.executor.run = wrong  # type: ignore[method-assign]
    with pytest.raises(InputError, match=message):
        run.loop.run(run.requests)
    check_conserved(run)
    reasons = {record.reason for record in run.records if record.outcome is Outcome.UNFINISHED}
    assert len(reasons) == 1 and reasons.pop().startswith("InputError: ")


def test_a_token_of_an_entry_that_does_not_sample_is_refused() -> None:
    """A chunk of a prompt has no next token yet."""
    run = make_run(OneByOne(), make_requests(np.random.default_rng(3), 4), limits=Limits(2, 8, 70))
    whole = run.executor.run

    def eager(batch: Batch) -> Step:
        return Step(whole(batch).duration_s, np.zeros(len(batch.samples), np.int64))

    run.executor.run = eager  # type: ignore[method-assign]
    with pytest.raises(InputError, match=r"token_ids: \[0\] is not accepted; .* -1 for the others is"):
        run.loop.run(run.requests)
    check_conserved(run)


@pytest.mark.parametrize("given", [None, 5, [5], "text"])
def test_what_is_no_request_is_refused(given: Any) -> None:
    """By a run, by a loop and by its worker."""
    run = make_run(All(), [])
    named = type(given[0] if isinstance(given, (list, str)) else given).__name__
    for call in (run.loop.run, run.loop.add, run.worker.add):
        with pytest.raises(InputError, match=rf"requests: ({named}|{type(given).__name__}) is not accepted"):
            call(given)
    assert run.loop.run(make_requests(np.random.default_rng(3), 4)) == ""
