"""Checks rows of requests.csv: whether each can be true, by itself and after the row before it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from aptsched.metrics.latencies import FLAGS, Latencies, Measured, held_against
from aptsched.metrics.percentile import rank
from aptsched.metrics.service import Metrics, Totals
from aptsched.scheduling.columns import COUNTS
from aptsched.scheduling.record import Outcome
from aptsched.support.checks import Floats
from aptsched.support.shown import shown

Row = dict[str, Any]
OUTCOMES = {outcome.value: outcome for outcome in Outcome}
MEASUREMENTS = tuple(name for name in Measured.__dataclass_fields__ if name not in ("finished", "num_tokens"))
WITH_REASON = ("rejected", "unfinished")
OF_TOKENS = ("ttft_s", "last_token_at_s", "max_lateness_s", "fluidity")  # of requests with a token
OF_GAPS = ("p99_tbt_s", "max_tbt_s")  # of requests with two
ROUNDING = 1e-9  # relative to the times that were subtracted and added up


def row_against(row: Row, before: Row | None) -> Iterator[str]:
    """Yield what is wrong with a row; `before` is the row before it in the same run."""
    if before is not None and row["request_id"] != before["request_id"] + 1:
        yield f"request_id: {row['request_id']}, but after {before['request_id']} comes the next"
    if row["arrived_at_s"] is None or (before is not None and row["arrived_at_s"] < (before["arrived_at_s"] or 0.0)):
        yield f"arrived_at_s: {shown(row['arrived_at_s'])} is not accepted; a time not before that of the row before is"
    if row["outcome"] not in OUTCOMES:
        yield f"outcome: {shown(row['outcome'])} is not accepted; {', '.join(OUTCOMES)} are"
    elif (row["outcome"] in WITH_REASON) != bool(row["reason"]):
        yield f"reason: {shown(row['reason'])} of a request that is {row['outcome']}"
    least = {"request_id": 0, "num_prompt_tokens": 1, "num_tokens": int(row["outcome"] == "finished")}
    for name, number in {**least, **dict.fromkeys(COUNTS, 0)}.items():
        if row[name] < number:
            yield f"{name}: {row[name]} is not accepted; at least {number} is"
    seconds = ("slo_ttft_s", "slo_tpot_s", *(("alone_s",) if row["alone_s"] is not None else ()))
    for name in seconds:
        if row[name] is None or row[name] <= 0:
            yield f"{name}: {shown(row[name])} is not accepted; seconds above 0 are"
            return
    if row["arrived_at_s"] is not None:
        yield from _times_against(row)


def _times_against(row: Row) -> Iterator[str]:
    """Yield what is wrong with the times of the tokens: they must be in order, and the gaps must fit between them."""
    num_gaps = row["num_tokens"] - 1
    for name in (*OF_TOKENS, *OF_GAPS):
        if (row[name] is not None) != (num_gaps >= (0 if name in OF_TOKENS else 1)):
            yield f"{name}: {shown(row[name])} of a request with {row['num_tokens']} tokens"
            return
    if num_gaps < 0:
        return
    ttft_s, since_s = row["ttft_s"], row["last_token_at_s"] - row["arrived_at_s"]
    if ttft_s < 0 or ttft_s > since_s or (num_gaps == 0 and ttft_s != since_s):
        yield f"ttft_s: {ttft_s!r}, but the last token comes {since_s!r} s after the arrival"
    elif num_gaps:
        yield from _gaps_against(row, num_gaps, since_s - ttft_s)
    yield from _lateness_against(row, num_gaps, since_s)


def _lateness_against(row: Row, num_gaps: int, since_s: float) -> Iterator[str]:
    """Check the largest lateness against those of the first and the last token, and the fluidity index against it."""
    late_s, fluidity, first_s = row["max_lateness_s"], row["fluidity"], row["ttft_s"] - row["slo_ttft_s"]
    last_s = since_s - (row["slo_ttft_s"] + num_gaps * row["slo_tpot_s"])
    if not max(first_s, last_s) <= late_s <= since_s - row["slo_ttft_s"]:
        yield f"max_lateness_s: {late_s!r}, but the first token is {first_s!r} s late and the last one {last_s!r} s"
    if not 0 <= fluidity <= 1 or (fluidity == 1) != (late_s <= 0):
        yield f"fluidity: {fluidity!r} of a request whose latest token is {late_s!r} s late"


def _gaps_against(row: Row, num_gaps: int, between_s: float) -> Iterator[str]:
    p99_s, max_s, at = row["p99_tbt_s"], row["max_tbt_s"], int(rank(np.array(num_gaps), 99))
    if not 0 <= p99_s <= max_s or (at == num_gaps - 1 and p99_s != max_s):
        yield f"p99_tbt_s: {p99_s!r} of {num_gaps} gaps of which the largest is {max_s!r}"
    most_s, slack_s = (at + 1) * p99_s + (num_gaps - 1 - at) * max_s, ROUNDING * abs(row["last_token_at_s"])
    least_s = max_s + (num_gaps - 1 - at) * p99_s
    if not least_s - slack_s <= between_s <= most_s + slack_s:
        yield f"max_tbt_s: {max_s!r}, but {num_gaps} gaps come to {between_s!r} s"


def latencies_of(rows: Sequence[Row]) -> Latencies:
    """The latencies that follow from the rows of a run, each of which can be true."""
    measured = {name: _column(rows, name) for name in MEASUREMENTS}
    with np.errstate(over="ignore", invalid="ignore"):
        return held_against(
            Measured(
                finished=np.array([row["outcome"] == "finished" for row in rows], np.bool_),
                num_tokens=np.array([row["num_tokens"] for row in rows], np.int64),
                **measured,
            ),
            np.empty(0),
        )


def rows_against(rows: Sequence[Row], each: Latencies) -> Iterator[str]:
    """For each column that follows from the others, yield its first row that is wrong."""
    for name in ("latency_s", *FLAGS):
        facts = getattr(each, name)
        given = _column(rows, name) if name == "latency_s" else np.array([row[name] for row in rows], np.bool_)
        wrong = np.flatnonzero((given != facts) & ~((given != given) & (facts != facts)))
        if len(wrong):
            row, fact = rows[int(wrong[0])], facts[wrong[0]].item()
            yield f"{name}: of request {row['request_id']} it is {shown(row[name])}, but {fact!r} follows"


def metrics_of(rows: Sequence[Row], each: Latencies) -> Metrics:
    """The metrics of a run from its rows, except the percentiles of the gaps between all tokens."""
    counts = {name: sum(row[name] for row in rows) for name in COUNTS}
    outcomes = [OUTCOMES[row["outcome"]] for row in rows]
    alone_s, totals = _column(rows, "alone_s"), Totals()
    totals.add(each, outcomes, counts, None if np.isnan(alone_s).any() else alone_s)
    return totals.metrics()


def _column(rows: Sequence[Row], name: str) -> Floats:
    return np.array([np.nan if row[name] is None else row[name] for row in rows], np.float64)
