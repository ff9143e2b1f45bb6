"""Records of many requests as columns."""

from __future__ import annotations

import pickle
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aptsched.metrics.latencies import latencies
from aptsched.scheduling.columns import COUNTS, LABELS
from aptsched.scheduling.record import SLO, Outcome, RequestRecord
from aptsched.scheduling.records import MANY, RecordColumns, in_parts

COUNT = st.integers(0, 2**40)


@st.composite
def a_record(draw: st.DrawFn) -> RequestRecord:
    """Any record; several have the same number or the same objectives."""
    tokens = draw(st.lists(st.floats(0, 1e6), max_size=4))
    outcome = draw(st.sampled_from(Outcome))
    return RequestRecord(
        draw(st.integers(0, 5)),
        draw(st.floats(0, 9)),
        draw(COUNT),
        SLO(draw(st.sampled_from([0.5, 1.0]))),
        np.array(tokens),
        outcome,
        "why" if outcome is Outcome.REJECTED else "",
        **{name: draw(COUNT) for name in (*LABELS, *COUNTS)},
    )


@given(st.lists(a_record(), max_size=8), st.floats(0, 9))
def test_records_are_those_that_were_added_by_number_from_a_time_on(added: list[RequestRecord], since_s: float) -> None:
    """All fields are equal, also once more, by index, in a slice, and in another process; numbers are Python's own."""
    columns = RecordColumns()
    for record in added:
        columns.add(record)
    kept = columns.by_number(since_s)
    wanted = sorted((each for each in added if each.arrived_at_s >= since_s), key=lambda each: each.request_id)
    assert kept == wanted and list(kept) == wanted and kept[1:-1] == wanted[1:-1]
    assert [kept[at] for at in range(-len(kept), len(kept))] == wanted * 2
    assert pickle.loads(pickle.dumps(kept)) == wanted and kept.request_id.tolist() == [each.request_id for each in kept]
    assert {type(each.num_promotions) for each in kept} <= {int} and {type(each.arrived_at_s) for each in kept} <= {
        float
    }
    with pytest.raises(IndexError):
        kept[len(kept)]
    assert kept != [*wanted, *added[:1]] or not added


def of_number(number: int, num_tokens: int) -> RequestRecord:
    """A finished request with a token each 0.1 s, and a late one now and then."""
    late_s = 5.0 * (number % 7 == 0)
    at_s = np.array([number + 0.1 * place + late_s for place in range(1, num_tokens + 1)])
    whole: dict[str, Any] = dict.fromkeys((*LABELS, *COUNTS), number % 3)
    return RequestRecord(number, float(number), 9, SLO(), at_s, Outcome.FINISHED, **whole)


def test_a_record_takes_little_more_than_the_times_of_its_tokens() -> None:
    """Ten thousand records of 16 tokens, 128 bytes each, take under 300 bytes each, spare places of arrays included."""
    columns, count = RecordColumns(), 10_000
    tracemalloc.start()
    for number in range(count):
        columns.add(of_number(number, 16))
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 300 * count


def test_parts_are_measured_as_all_at_once() -> None:
    """Latencies of more records than are objects at once are those of each part, one after the other."""
    made = [of_number(number, number % 5) for number in range(MANY + 10)]
    assert [len(part) for part in in_parts(made)] == [MANY, 10] and list(in_parts([])) == [[]]
    whole, first, rest = latencies(made), latencies(made[:MANY]), latencies(made[MANY:])
    for name, column in vars(whole).items():
        parts = np.concatenate([getattr(first, name), getattr(rest, name)])
        assert column.dtype == parts.dtype and column.tobytes() == parts.tobytes()
