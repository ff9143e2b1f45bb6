"""The latencies of requests, and whether they are within their objectives."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aptsched.metrics.percentile import rank
from aptsched.scheduling.record import Outcome, RequestRecord
from aptsched.support.checks import Bools, Floats, Ints

STARVED = 10  # a first token later than so many times its objective


@dataclass(frozen=True, eq=False)
class Latencies:
    """Latencies of each request, in order of the records; nan where there is nothing to measure.

    Attributes
    ----------
    ttft_s : float array, [r]
        From arrival to the first token; nan without a token.
    tbt_s : float array, [g]
        All gaps between tokens, one request after the other: `num_tokens - 1` of each that has a token.
    p99_tbt_s, max_tbt_s : float array, [r]
        Of the request's own gaps; nan with fewer than two tokens.
    latency_s : float array, [r]
        From arrival to the last token, of requests that finished.
    last_token_at_s : float array, [r]
        On the clock of the run; nan without a token.
    num_tokens : int array, [r]
        Output tokens.
    attained_ttft, attained_tbt, attained_max_tbt : bool array, [r]
        The request finished, and its first token, the P99 of its gaps, or its largest gap was within the objective. A
        finished request of one token has no gap that could be late.
    starved : bool array, [r]
        The first token came later than 10 times its objective after arrival, or never.
    """

    ttft_s: Floats
    tbt_s: Floats
    p99_tbt_s: Floats
    max_tbt_s: Floats
    latency_s: Floats
    last_token_at_s: Floats
    num_tokens: Ints
    attained_ttft: Bools
    attained_tbt: Bools
    attained_max_tbt: Bools
    starved: Bools


def latencies(records: Sequence[RequestRecord]) -> Latencies:
    """The latencies of each request."""
    num_tokens = np.array([len(record.token_at_s) for record in records], np.int64)
    at_s = np.concatenate([np.empty(0), *(record.token_at_s for record in records)])
    arrived_s = np.array([record.arrived_at_s for record in records], np.float64)
    slo_ttft_s = np.array([record.slo.ttft_s for record in records], np.float64)
    slo_tpot_s = np.array([record.slo.tpot_s for record in records], np.float64)
    finished = np.array([record.outcome is Outcome.FINISHED for record in records], np.bool_)
    served = num_tokens > 0
    end = np.cumsum(num_tokens)
    ttft_s, last_s = np.full(len(records), math.nan), np.full(len(records), math.nan)
    ttft_s[served] = at_s[(end - num_tokens)[served]] - arrived_s[served]
    last_s[served] = at_s[end[served] - 1]
    within = np.ones(max(0, len(at_s) - 1), np.bool_)
    within[end[served][:-1] - 1] = False  # from the last token of a request to the first one of the next
    tbt_s = np.diff(at_s)[within]
    p99_tbt_s, max_tbt_s = _own_gaps(tbt_s, np.maximum(num_tokens - 1, 0))
    measured = Measured(arrived_s, finished, num_tokens, ttft_s, last_s, p99_tbt_s, max_tbt_s, slo_ttft_s, slo_tpot_s)
    return held_against(measured, tbt_s)


@dataclass(frozen=True, eq=False)
class Measured:
    """Measurements and objectives of each request, [r] each; nan where there is nothing to measure."""

    arrived_at_s: Floats
    finished: Bools
    num_tokens: Ints
    ttft_s: Floats
    last_token_at_s: Floats
    p99_tbt_s: Floats
    max_tbt_s: Floats
    slo_ttft_s: Floats
    slo_tpot_s: Floats


def held_against(measured: Measured, tbt_s: Floats) -> Latencies:
    """The latencies, and whether they meet the objectives; `tbt_s` has all gaps of all requests, in order."""
    finished, served, ttft_s = measured.finished, measured.num_tokens > 0, measured.ttft_s
    return Latencies(
        ttft_s=ttft_s,
        tbt_s=tbt_s,
        p99_tbt_s=measured.p99_tbt_s,
        max_tbt_s=measured.max_tbt_s,
        latency_s=np.where(finished & served, measured.last_token_at_s - measured.arrived_at_s, math.nan),
        last_token_at_s=measured.last_token_at_s,
        num_tokens=measured.num_tokens,
        attained_ttft=finished & (ttft_s <= measured.slo_ttft_s),
        attained_tbt=finished & served & ~(measured.p99_tbt_s > measured.slo_tpot_s),
        attained_max_tbt=finished & served & ~(measured.max_tbt_s > measured.slo_tpot_s),
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
