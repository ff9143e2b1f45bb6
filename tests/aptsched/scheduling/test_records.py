"""Records of many requests as bytes."""

from __future__ import annotations

import pickle
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aptsched.metrics.latencies import latencies
from aptsched.metrics.service import summarise
from aptsched.scheduling.columns import COUNTS, LABELS
from aptsched.scheduling.record import SLO, Outcome, RequestRecord
from aptsched.scheduling.records import MANY, RecordBytes, in_parts
from aptsched.support.checks import Ints

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


@given(st.lists(a_record(), max_size=8), st.sampled_from([0, 300, 2**20]))
def test_records_are_those_that_were_added_by_number(added: list[RequestRecord], max_held: int) -> None:
    """All fields are equal, also once more, by index, in a slice, and in another process; numbers are Python's own."""
    made = RecordBytes(max_held)
    for record in added:
        made.add(record)
    kept, wanted = made.by_number(), sorted(added, key=lambda each: each.request_id)
    assert kept == wanted and list(kept) == wanted and kept[1:-1] == wanted[1:-1]
    assert [kept[at] for at in range(-len(kept), len(kept))] == wanted * 2
    assert pickle.loads(pickle.dumps(kept)) == wanted
    assert {type(each.num_promotions) for each in kept} <= {int} and {type(each.arrived_at_s) for each in kept} <= {
        float
    }
    with pytest.raises(IndexError):
        kept[len(kept)]
    assert kept != [*wanted, *added[:1]] or not added


def of_number(number: int, num_tokens: int, slo: SLO = SLO()) -> RequestRecord:  # noqa: B008  # it is frozen
    """A finished request with a token each 0.1 s, and by 1 s a late one now and then."""
    late_s = 5.0 * (number % 7 == 0)
    at_s = np.array([number + 0.1 * place + late_s for place in range(1, num_tokens + 1)])
    whole: dict[str, Any] = dict.fromkeys((*LABELS, *COUNTS), number % 3)
    return RequestRecord(number, float(number), 9, slo, at_s, Outcome.FINISHED, **whole)


@pytest.mark.parametrize("seed", range(2))
def test_memory_does_not_grow_with_what_requests_were_served(seed: int) -> None:
    """Of 3,000 more requests, whose tokens take 800 bytes each, fewer than 100 each are held, up to their metrics."""
    num_tokens = np.random.default_rng(seed).integers(0, 200, 9000)
    few, many = (peak_bytes(num_tokens[:count]) for count in (6000, 9000))
    assert many < few + 100 * 3000


def peak_bytes(num_tokens: Ints) -> int:
    """The most bytes that the records of these requests and what their metrics are made of take at a time."""
    tracemalloc.start()
    made = RecordBytes(2**18)
    for number, count in enumerate(num_tokens.tolist()):
        made.add(of_number(number, count, SLO(60.0)))
    assert summarise(made.by_number(), np.ones(len(num_tokens))).num_requests == len(num_tokens)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


def test_parts_are_measured_as_all_at_once() -> None:
    """Latencies of more records than are objects at once are those of each part, one after the other."""
    made = [of_number(number, number % 5) for number in range(MANY + 10)]
    assert [len(part) for part in in_parts(made)] == [MANY, 10] and list(in_parts([])) == [[]]
    whole, first, rest = latencies(made), latencies(made[:MANY]), latencies(made[MANY:])
    for name, column in vars(whole).items():
        parts = np.concatenate([getattr(first, name), getattr(rest, name)])
        assert column.dtype == parts.dtype and column.tobytes() == parts.tobytes()
