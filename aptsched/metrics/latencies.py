"""The latencies of requests, and whether they are within their objectives."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from aptsched.metrics.deadlines import tokens_of
from aptsched.metrics.percentile import rank
from aptsched.scheduling.record import Outcome, RequestRecord
from aptsched.scheduling.records import in_parts
from aptsched.support.checks import Bools, Floats, Ints

FLAGS = ("attained", "attained_ttft", "attained_p99_tbt", "attained_mean_tbt", "attained_max_tbt", "starved")
STARVED = 10  # a first token later than so many times its objective


@dataclass(frozen=True, eq=False)
class Measured:
    """Measurements and objectives of each request, [r] each; nan where there is nothing to measure.

    Attributes
    ----------
    arrived_at_s : float array
    finished : bool array
    num_tokens : int array
        Output tokens.
    ttft_s : float array
        From arrival to the first token; nan without a token.
    last_token_at_s : float array
        On the clock of the run; nan without a token.
    p99_tbt_s, max_tbt_s : float array
        Of the request's own gaps between tokens; nan with fewer than two tokens.
    max_lateness_s, fluidity : float array
        As `Tokens` has them; nan without a token.
    slo_ttft_s, slo_tpot_s : float array
    """

    arrived_at_s: Floats
    finished: Bools
    num_tokens: Ints
    ttft_s: Floats
    last_token_at_s: Floats
    p99_tbt_s: Floats
    max_tbt_s: Floats
    max_lateness_s: Floats
    fluidity: Floats
    slo_ttft_s: Floats
    slo_tpot_s: Floats


@dataclass(frozen=True, eq=False)
class Latencies(Measured):
    """Latencies of each request, in order of the records, and what they come to; who did not finish attains nothing.

    Attributes
    ----------
    tbt_s : float array, [g]
        All gaps between tokens, one request after the other: `num_tokens - 1` of each that has a token.
    latency_s : float array, [r]
        From arrival to the last token, of requests that finished.
    attained : bool array, [r]
        Every token came by its deadline.
    attained_ttft : bool array, [r]
        The first token came within its objective.
    attained_p99_tbt, attained_mean_tbt, attained_max_tbt : bool array, [r]
        The first token did, and the P99, the mean, the largest of its gaps were within the objective of the TPOT. A
        request of one token has no gap that could be late.
    starved : bool array, [r]
        The first token came later than 10 times its objective after arrival, or never.
    """

    tbt_s: Floats
    latency_s: Floats
    attained: Bools
    attained_ttft: Bools
    attained_p99_tbt: Bools
    attained_mean_tbt: Bools
    attained_max_tbt: Bools
    starved: Bools


def latencies(records: Sequence[RequestRecord]) -> Latencies:
    """The latencies of each request, in order; no part of them is held while the next one is made."""
    found: dict[str, tuple[bytearray, np.dtype[Any]]] = {}
    for part in map(of_part, in_parts(records)):
        for name, column in vars(part).items():
            found.setdefault(name, (bytearray(), column.dtype))[0].extend(column.tobytes())
    return Latencies(**{name: np.frombuffer(content, dtype) for name, (content, dtype) in found.items()})


def of_part(records: Sequence[RequestRecord]) -> Latencies:
    """The latencies of each request, at the price of some arrays over all of their tokens."""
    tokens = tokens_of(records)
    served = tokens.num_tokens > 0
    ttft_s, last_s = np.full(len(records), math.nan), np.full(len(records), math.nan)
    ttft_s[served] = tokens.since_s[tokens.start[served]]
    last_s[served] = tokens.at_s[(tokens.start + tokens.num_tokens)[served] - 1]
    tbt_s, max_lateness_s = tokens.tbt_s, tokens.max_lateness_s
    p99_tbt_s, max_tbt_s = _own_gaps(tbt_s, np.maximum(tokens.num_tokens - 1, 0))
    measured = Measured(
        arrived_at_s=np.array([record.arrived_at_s for record in records], np.float64),
        finished=np.array([record.outcome is Outcome.FINISHED for record in records], np.bool_),
        num_tokens=tokens.num_tokens,
        ttft_s=ttft_s,
        last_token_at_s=last_s,
        p99_tbt_s=p99_tbt_s,
        max_tbt_s=max_tbt_s,
        max_lateness_s=max_lateness_s,
        fluidity=tokens.fluidity(max_lateness_s),
        slo_ttft_s=np.array([record.slo.ttft_s for record in records], np.float64),
        slo_tpot_s=tokens.slo_tpot_s,
    )
    return held_against(measured, tbt_s)


def held_against(measured: Measured, tbt_s: Floats) -> Latencies:
    """The latencies, and whether they meet the objectives; `tbt_s` has all gaps of all requests, in order."""
    ttft_s, num_gaps = measured.ttft_s, measured.num_tokens - 1
    since_s = measured.last_token_at_s - measured.arrived_at_s
    in_time = measured.finished & (ttft_s <= measured.slo_ttft_s)
    mean_tbt_s = (since_s - ttft_s) / np.where(num_gaps > 0, num_gaps, math.nan)
    return Latencies(
        **vars(measured),
        tbt_s=tbt_s,
        latency_s=np.where(measured.finished, since_s, math.nan),
        attained=measured.finished & (measured.max_lateness_s <= 0),
        attained_ttft=in_time,
        attained_p99_tbt=in_time & ~(measured.p99_tbt_s > measured.slo_tpot_s),
        attained_mean_tbt=in_time & ~(mean_tbt_s > measured.slo_tpot_s),
        attained_max_tbt=in_time & ~(measured.max_tbt_s > measured.slo_tpot_s),
        starved=~(ttft_s <= STARVED * measured.slo_ttft_s),
    )


def _own_gaps(tbt_s: Floats, num_gaps: Ints) -> tuple[Floats, Floats]:
    """P99 and largest of each request's own gaps, [r]; nan without a gap."""
    p99_s, max_s = np.full(len(num_gaps), math.nan), np.full(len(num_gaps), math.nan)
    start = np.cumsum(num_gaps) - num_gaps
    by_number = np.argsort(num_gaps, kind="stable")
    for same in np.split(by_number, np.flatnonzero(np.diff(num_gaps[by_number])) + 1):
        number = int(num_gaps[same[0]]) if len(same) else 0
        if number:
            gaps = tbt_s[start[same, None] + np.arange(number)]  # [requests of that many gaps, number]
            at = int(rank(num_gaps[same[0]], 99))
            p99_s[same] = np.partition(gaps, at, axis=1)[:, at]
            max_s[same] = gaps.max(axis=1)
    return p99_s, max_s
