"""Smallest volume first: volumes by hand, and the order of admission that follows."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from aptsched.policies.svf import SVF, volume
from ended import ended
from engine.loop.limits import Limits
from simulated import replay_of, simulate
from views import Seen, view_of


@given(prompt=st.integers(1, 200), output=st.integers(1, 200))
def test_the_volume_is_the_sum_of_the_tokens_cached(prompt: int, output: int) -> None:
    """In iteration t, from 1 to the output's length, a request holds its prompt and t tokens."""
    found = volume(np.array([prompt]), np.array([float(output)])).item()
    assert found == sum(prompt + t for t in range(1, output + 1))


def test_before_anybody_has_finished_the_shortest_prompt_comes_first() -> None:
    """All outputs are taken to be as long."""
    view = view_of([Seen(60), Seen(20), Seen(40)], num_blocks=20, max_tokens=60)
    assert SVF().decide(view).request.tolist() == [1, 2]


def test_long_prompts_with_short_outputs_come_before_short_ones_with_long_outputs() -> None:
    """As learnt: 300 tokens with 2 of output, volume 603; 20 with 90 of output, volume 5895."""
    policy = SVF()
    for _ in range(20):
        policy.on_record(ended(300, 2))
        policy.on_record(ended(20, 90))
    view = view_of([Seen(20), Seen(300)], num_blocks=40, max_seqs=1)
    assert policy.decide(view).request.tolist() == [1]
    assert SVF().decide(view).request.tolist() == [0]


def test_true_volumes_are_not_true_lengths() -> None:
    """400 tokens with 3 of output, volume 1206, and 10 with 20, volume 410: the shortest job has not the least."""
    replay, one = replay_of([(400, 3), (10, 20)]), Limits(2048, 1, 2048)
    orders = {name: simulate(name, replay, 60, one).admitted() for name in ("sjf", "svf:lengths=true")}
    assert orders == {"sjf": [0, 1], "svf:lengths=true": [1, 0]}


def test_with_one_bit_outputs_of_a_kind_count_the_same() -> None:
    """Outputs 5, 4 and 90, 80: short ones of 4.5, long ones of 85 tokens, so that prompts decide within a kind."""
    lengths, one = [(30, 5), (40, 4), (10, 90), (11, 80)], Limits(2048, 1, 2048)
    exact, bit = (
        simulate(f"svf:lengths=true{option}", replay_of(lengths), 60, one).admitted() for option in ("", ":one_bit")
    )
    assert (exact, bit) == ([0, 1, 3, 2], [0, 1, 2, 3])
