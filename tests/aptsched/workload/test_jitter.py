"""Lengths moved by chance: by no more than the share, the same for the same seed, and not at all by default."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aptsched import InputError
from aptsched.scheduling.record import SLO
from aptsched.workload.jitter import jittered
from aptsched.workload.trace import Trace
from engine.study.arrival_source import ArrivalSource
from engine.study.simulated_replays import simulated_replays

LENGTHS = st.lists(st.tuples(st.integers(1, 5000), st.integers(0, 5000)), min_size=1, max_size=30)


def trace_of(lengths: list[tuple[int, int]]) -> Trace:
    """A trace without arrivals of these prompts and outputs."""
    return Trace(None, [prompt for prompt, _ in lengths], [output for _, output in lengths])


@given(lengths=LENGTHS, share=st.floats(0, 0.99), seed=st.integers(0, 99))
def test_each_length_moves_by_its_share_at_most(lengths: list[tuple[int, int]], share: float, seed: int) -> None:
    """But for rounding; nothing becomes 0 that was not, and what was 0 stays."""
    trace = trace_of(lengths)
    moved = jittered(trace, share, np.random.default_rng(seed))
    for before, after in ((trace.prompt_tokens, moved.prompt_tokens), (trace.output_tokens, moved.output_tokens)):
        assert (np.abs(after - before) <= share * before + 0.5 + 1e-9).all()
        assert ((after > 0) == (before > 0)).all()


@given(lengths=LENGTHS, seed=st.integers(0, 99))
def test_a_longer_trace_begins_as_a_shorter_one(lengths: list[tuple[int, int]], seed: int) -> None:
    """So the requests of a lower rate are the first of a higher one."""
    short, long = trace_of(lengths), trace_of([*lengths, (7, 7)])
    first, more = (jittered(each, 0.1, np.random.default_rng(seed)) for each in (short, long))
    assert first.prompt_tokens.tolist() == more.prompt_tokens[:-1].tolist()
    assert first.output_tokens.tolist() == more.output_tokens[:-1].tolist()


def test_replays_have_it_at_every_rate() -> None:
    """A mean of no change, the same lengths at both rates, and a notice; arrivals are as without."""
    source = ArrivalSource(workload="sharegpt", num_requests=3000, jitter=0.1)
    low, high = simulated_replays(source, [1.0, 2.0], SLO())
    (plain,) = simulated_replays(ArrivalSource(workload="sharegpt", num_requests=3000), [1.0], SLO())
    assert low.num_output_tokens.tolist() == high.num_output_tokens.tolist() != plain.num_output_tokens.tolist()
    assert np.array_equal(low.arrived_at_s, plain.arrived_at_s)
    assert low.num_output_tokens.mean() == pytest.approx(plain.num_output_tokens.mean(), rel=0.01)
    assert any("moved by up to 10%" in notice for notice in low.notices)


@pytest.mark.parametrize("share", [-0.1, 1.0, float("nan")])
def test_bad_shares(share: float) -> None:
    """A share below 0, of 1 or more, or none, is named."""
    with pytest.raises(InputError, match="jitter"):
        ArrivalSource(workload="sharegpt", jitter=share)
