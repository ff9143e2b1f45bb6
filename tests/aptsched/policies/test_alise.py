"""ALISE: what is predicted, who is first, and who is swapped."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aptsched.policies.alise import ALISE
from aptsched.scheduling.iteration_time import IterationTime
from ended import ended
from engine.loop.limits import Limits
from simulated import Served, replay_of, simulate
from views import Seen, running, view_of

TENTH = IterationTime(fixed_s=0.1, per_token_s=0.01)
PAIRS = st.lists(st.tuples(st.integers(1, 9), st.integers(1, 50)), min_size=1, max_size=12)


@given(PAIRS, st.integers(1, 12), st.integers(1, 10), st.integers(1, 6))
def test_outputs_are_those_of_neighbours(pairs: list[tuple[int, int]], window: int, prompt: int, count: int) -> None:
    """The mean of some consecutive ones, by prompt, of those kept; no prompt left out is nearer than half of them."""
    policy = ALISE(window=window, neighbours=count)
    for length, output in pairs:
        policy.on_record(ended(length, output))
    kept = sorted(pairs[-window:])
    count = min(count, len(kept))
    means = {
        float(np.mean([output for _, output in kept[first : first + count]]))
        for first in range(len(kept) - count + 1)
        if first == 0
        or first == len(kept) - count
        or kept[first][0] <= prompt <= kept[first + count - 1][0] + 1
        or kept[first - 1][0] < prompt <= kept[first][0]
    }
    assert any(policy.predicted(view_of([Seen(prompt)]))[0] == pytest.approx(mean) for mean in means)


def test_remaining_time_by_hand() -> None:
    """Of a prompt of 30 tokens 0.3 s; of 20 predicted tokens 0.11 s each; one that has all of them needs one more."""
    policy = ALISE()
    policy.on_record(ended(30, 20))
    view = view_of([Seen(30), running(30, 5), running(30, 25)], times=TENTH)
    assert policy.remaining_s(view).tolist() == pytest.approx([0.3 + 2.2, 15 * 0.11, 0.11])


def test_the_shorter_goes_first_and_age_makes_up_for_length() -> None:
    """One sequence at a time: the later, shorter prompt; unless the earlier one has waited for some queues."""
    view = view_of([Seen(900, arrived_at_s=0.0), Seen(10, arrived_at_s=9.9)], max_seqs=1, times=TENTH)
    assert ALISE(output_tokens=4).decide(view).request.tolist() == [1]
    assert ALISE(output_tokens=4, aging_s=1.0).decide(view).request.tolist() == [0]


def test_it_swaps_where_the_host_has_room() -> None:
    """Forty requests of two lengths over a pool for six: nothing is recomputed, and short ones take half the time."""
    arrived_at_s = [i / 40 for i in range(40)]
    replay = replay_of([(60, 40), (16, 4)] * 20, arrived_at_s)

    def taken_s(served: Served) -> float:
        return float(np.mean([times[-1] - arrived_at_s[i] for i, times in served.timeline() if i % 2]))

    by_prompt, by_arrival = (simulate(name, replay, 40, num_host_blocks=400) for name in ("alise:neighbours=2", "fcfs"))
    assert sum(record.num_swap_outs for record in by_prompt.records) > 0
    assert not any(record.num_preemptions for record in by_prompt.records)
    assert taken_s(by_prompt) < 0.5 * taken_s(by_arrival)


def test_it_learns_which_prompts_have_short_outputs() -> None:
    """Prompts of 16 tokens end after two and those of 15 after 60: once some have ended, the former go first."""
    replay = replay_of([(15, 60), (16, 2)] * 4 + [(15, 60)] * 4 + [(16, 2)] * 4, [0.0] * 8 + [6.0] * 8)
    served = simulate("alise:neighbours=2", replay, 100, Limits(2048, 1, 100))
    assert served.admitted()[-8:] == [12, 13, 14, 15, 8, 9, 10, 11]
