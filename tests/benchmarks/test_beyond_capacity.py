"""What the computed clock takes for a server with a limit, which a benchmark holds beside one."""

from __future__ import annotations

from aptsched.policies.fcfs import FCFS
from aptsched.scheduling.record import Outcome
from benchmarks.beyond_capacity import Limited, admitted
from engine import simulate


def test_who_finds_all_places_taken_is_refused_and_nobody_else() -> None:
    """Places are taken from a request's arrival until its last token, also by those that arrive in one iteration."""
    trace = [(0.02 * number, 100, 20) for number in range(100)]
    limited = {"limited": Limited(FCFS(), 2)}
    (run,) = simulate(model="opt-13b", policy=limited, trace=trace, certificates="none").runs
    served = admitted(run)
    assert all(record.outcome is Outcome.FINISHED for record in served) and 4 < len(served) < 60
    for record in run.records:
        there = sum(other.arrived_at_s < record.arrived_at_s <= other.token_at_s[-1] for other in served)
        assert there < 2 if record in served else there == 2
