"""requests.csv: what is written is read back, and nothing else is read."""

from __future__ import annotations

import math
import string
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aptsched.metrics.latencies import FLAGS, latencies
from aptsched.metrics.request_rows import COLUMNS, HEADER, MEASURED, as_csv, rows
from aptsched.scheduling.columns import COUNTS, LABELS
from aptsched.scheduling.record import SLO, Outcome, RequestRecord
from aptsched.support.errors import InputError

TIMES = st.floats(0, 1e6)
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=12)


@st.composite
def records(draw: st.DrawFn) -> list[RequestRecord]:
    """Of requests as they end, in any way, with reasons of any characters."""
    return [
        RequestRecord(
            request_id=i,
            arrived_at_s=draw(TIMES),
            num_prompt_tokens=draw(st.integers(1, 10**9)),
            slo=SLO(draw(st.floats(1e-3, 10)), 0.5),
            token_at_s=np.array(sorted(draw(st.lists(TIMES, max_size=4))), np.float64),
            outcome=draw(st.sampled_from(Outcome)),
            reason=draw(TEXTS),
            tenant=draw(st.integers(0, 9)),
            priority=draw(st.integers(-(2**32), 2**32)),
            **{name: draw(st.integers(0, 9)) for name in COUNTS},
        )
        for i in range(draw(st.integers(0, 5)))
    ]


def known(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value


@given(TEXTS, st.floats(1e-3, 1e3) | st.just(math.nan), records())
def test_what_is_written_is_read_back(policy: str, rate_per_s: float, given: list[RequestRecord]) -> None:
    """Every value of every column, whatever characters names and reasons have."""
    alone_s = np.arange(len(given), dtype=np.float64) + 1.5 if given and given[0].num_prompt_tokens % 2 else None
    found = [row for _, row in rows(as_csv([(policy, rate_per_s, given, alone_s)]))]
    each = latencies(given)
    for i, (row, record) in enumerate(zip(found, given, strict=True)):
        assert isinstance(row, dict) and tuple(row) == COLUMNS
        assert (row["policy"], row["rate_per_s"], row["outcome"]) == (policy, known(rate_per_s), record.outcome.value)
        assert (row["slo_ttft_s"], row["slo_tpot_s"]) == (record.slo.ttft_s, record.slo.tpot_s)
        assert row["alone_s"] == (None if alone_s is None else alone_s[i])
        for name in ("request_id", "arrived_at_s", "num_prompt_tokens", "reason", *LABELS, *COUNTS):
            assert row[name] == getattr(record, name)
        for name in (*MEASURED, *FLAGS):
            assert row[name] == known(getattr(each, name).tolist()[i])


RECORD = RequestRecord(
    0, 1.5, 7, SLO(), np.array([2.0, 2.25]), Outcome.FINISHED, "", **dict.fromkeys((*LABELS, *COUNTS), 3)
)
LINE = as_csv([("fcfs", 2.0, [RECORD], None)]).splitlines()[1]


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize(
    "cell", ["1e999", "nan", "-inf", "0x1", " 1", "1_0", "07", "1.50", "9" * 5000, "\u0661", "True"]
)
def test_a_cell_that_is_not_as_it_is_written_is_refused(name: str, cell: str) -> None:
    """By the name of its column; text may be anything. The row after it is read."""
    cells = LINE.split(",")
    cells[COLUMNS.index(name)] = cell
    (_, bad), (number, good) = rows(f"{HEADER}{','.join(cells)}\n{LINE}\n")
    assert number == 3 and isinstance(good, dict)
    if name in ("policy", "outcome", "reason"):
        assert isinstance(bad, dict) and bad[name] == cell
    else:
        assert isinstance(bad, InputError) and str(bad).startswith(f"{name}: {cell!r:.60} is not accepted")


@given(st.text(st.sampled_from(string.printable + '"\x00é'), max_size=200) | st.just(HEADER + '"' + "x" * 200_000))
def test_no_text_breaks_the_reader(text: str) -> None:
    """Each row is one or is refused; a field without end ends it."""
    for number, row in [*rows(text), *rows(HEADER + text)]:
        assert number >= 1 and isinstance(row, (dict, InputError))
