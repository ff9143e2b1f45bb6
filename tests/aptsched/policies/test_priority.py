"""Priorities that are drawn anew, and who is served by them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aptsched import InputError
from aptsched.policies.known_before import known_before
from aptsched.policies.priority import Priority
from aptsched.scheduling.view import View
from simulated import replay_of, simulate
from views import Seen, running, view_of


def waiting(count: int) -> View:
    """So many requests that wait, of which the pool holds one."""
    return view_of([Seen(60) for _ in range(count)], num_blocks=5)


def served(policy: Priority, count: int, num_decisions: int) -> list[int]:
    """Who is served in each of so many decisions about the same requests."""
    return [int(policy.decide(waiting(count)).request[0]) for _ in range(num_decisions)]


def test_given_priorities_decide() -> None:
    """The lowest number first; among equals who came first."""
    view = view_of([Seen(60, priority=each) for each in (2, 1, 1, 3)], num_blocks=5)
    assert Priority(redrawn="never").decide(view).request.tolist() == [1]


def test_who_runs_leaves_for_the_host_when_a_more_urgent_one_comes() -> None:
    """It is not preempted, as the host has room for it."""
    view = view_of([running(60, priority=1), Seen(60)], num_blocks=5, num_host_blocks=10)
    plan = Priority(redrawn="never").decide(view)
    assert (plan.request.tolist(), plan.swap_out.tolist(), plan.preempt.tolist()) == ([1], [0], [])


def test_priorities_stay_until_they_are_redrawn() -> None:
    """A quarter redraw an iteration: every fourth decision may serve another one, those between serve the same."""
    seen = served(Priority(frequency=0.25), 40, 40)
    changes = [at for at in range(1, 40) if seen[at] != seen[at - 1]]
    assert len(changes) > 5 and all((at + 1) % 4 == 0 for at in changes)
    assert len(set(served(Priority(frequency=0.0), 40, 40))) == 1


def test_markov_priorities_move_by_one() -> None:
    """Whatever is redrawn, each differs from what it was by one at most, and stays within the levels."""
    policy, before = Priority(redrawn="markov", frequency=1.0, num_levels=4), None
    for _ in range(30):
        policy.decide(waiting(25))
        level = policy._level.copy()
        assert level.min() >= 0 and level.max() <= 3
        assert before is None or (np.abs(level - before).max() == 1 and (level != before).mean() > 0.4)
        before = level


def test_seeds_differ_and_repeat() -> None:
    """The same seed serves the same requests, another one others."""
    runs = [served(Priority(seed=seed, frequency=0.5), 40, 30) for seed in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]


def test_who_comes_back_ahead_runs_one_iteration_later() -> None:
    """With `ahead` it is swapped in beside those that run; where nobody else runs it runs at once."""
    requests = [Seen(31, 1, 31, swapped=True), running(31, priority=1)]
    view = view_of(requests, num_blocks=10, num_host_blocks=10)
    plans = [Priority(redrawn="never", ahead=ahead).decide(view) for ahead in (False, True)]
    assert [plan.request.tolist() for plan in plans] == [[0, 1], [1]]
    assert [plan.swap_in.tolist() for plan in plans] == [[0], [0]]
    alone = Priority(redrawn="never", ahead=True).decide(view_of(requests[:1], num_blocks=10, num_host_blocks=10))
    assert (alone.request.tolist(), alone.swap_in.tolist()) == ([0], [0])


def test_a_run_with_priorities_swaps_more_the_oftener_they_are_redrawn() -> None:
    """Thirty requests over a pool for eight: swaps rise with the frequency, and everybody ends with all tokens."""
    replay = replay_of([(60, 60)] * 30)
    counts = []
    for frequency in (0.0, 0.04, 0.5):
        records = simulate(f"priority:frequency={frequency}", replay, 60, num_host_blocks=400).records
        assert [len(record.token_at_s) for record in records] == [60] * 30
        counts.append(sum(record.num_swap_outs for record in records))
    assert counts[0] < counts[1] < counts[2]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"redrawn": "often"}, "redrawn: 'often' is not accepted; random, markov, never are"),
        ({"frequency": 1.5}, "frequency: 1.5 is not accepted; 0 to 1"),
        ({"num_levels": 0}, "num_levels: 0 is not accepted"),
        ({"seed": -1}, "seed: -1 is not accepted"),
    ],
)
def test_bad_options_are_refused(options: dict[str, object], message: str) -> None:
    """By one message with field, value and what is accepted."""
    with pytest.raises(InputError, match=message):
        Priority(**options)  # type: ignore[arg-type]


@given(before=st.sets(st.integers(0, 30)), now=st.sets(st.integers(0, 30)), data=st.data())
def test_who_was_known_before_is_found_in_any_order(before: set[int], now: set[int], data: st.DataObject) -> None:
    """Places before of those now that were there, in the order of those now."""
    first, second = (np.array(data.draw(st.permutations(sorted(each))), np.int64) for each in (before, now))
    known, places = known_before(first, second)
    assert known.tolist() == [number in before for number in second.tolist()]
    assert first[places].tolist() == second[known].tolist()
