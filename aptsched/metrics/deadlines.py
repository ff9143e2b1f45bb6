"""Deadlines of tokens: how late each request's tokens come, and how fluid they are for who reads them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aptsched.scheduling.record import RequestRecord
from aptsched.support.checks import Floats, Ints


@dataclass(frozen=True, eq=False)
class Tokens:
    """All output tokens of some requests, one request after the other, with their deadlines.

    Token i of a request, from 1, is due TTFT + (i - 1) TPOT after its arrival.

    Attributes
    ----------
    at_s : float array, [t]
        When each came, on the clock of the run.
    since_s : float array, [t]
        From the request's arrival to the token.
    due_s : float array, [t]
        From the request's arrival to the token's deadline.
    num_tokens, start : int array, [r]
        Tokens of each request, and the place of its first one.
    slo_tpot_s : float array, [r]
    """

    at_s: Floats
    since_s: Floats
    due_s: Floats
    num_tokens: Ints
    start: Ints
    slo_tpot_s: Floats

    def largest(self, of_tokens: Floats) -> Floats:
        """The largest of a request's values, [r], from one for each token, [t]; nan without a token."""
        found, served = np.full(len(self.num_tokens), math.nan), self.num_tokens > 0
        if served.any():
            found[served] = np.maximum.reduceat(of_tokens, self.start[served])
        return found

    @property
    def tbt_s(self) -> Floats:
        """All gaps between tokens of the same request, [g]: `num_tokens - 1` of each that has a token."""
        within = np.ones(max(0, len(self.at_s) - 1), np.bool_)
        end = self.start + self.num_tokens
        within[end[self.num_tokens > 0][:-1] - 1] = False  # from the last token of a request to the first of the next
        return np.diff(self.at_s)[within]

    @property
    def max_lateness_s(self) -> Floats:
        """How long after its deadline the latest token came, [r]: 0 or less if none was late."""
        return self.largest(self.since_s - self.due_s)

    @property
    def needed_scale(self) -> Floats:
        """The smallest factor on both objectives at which no token is late, [r]."""
        return self.largest(self.since_s / self.due_s)

    def fluidity(self, max_lateness_s: Floats) -> Floats:
        """Etalon's fluidity index of each request, [r]; 1 where no token is late, nan without a token."""
        found = np.where(np.isnan(max_lateness_s), math.nan, 1.0)
        for i in np.flatnonzero(max_lateness_s > 0).tolist():
            own = slice(self.start[i], self.start[i] + self.num_tokens[i])
            found[i] = fluidity_index(self.since_s[own].tolist(), float(self.due_s[own][0]), float(self.slo_tpot_s[i]))
        return found


def tokens_of(records: Sequence[RequestRecord]) -> Tokens:
    """The tokens of these requests, in order."""
    num_tokens = np.array([len(record.token_at_s) for record in records], np.int64)
    at_s = np.concatenate([np.empty(0), *(record.token_at_s for record in records)])
    arrived_s = np.array([record.arrived_at_s for record in records], np.float64)
    slo_ttft_s = np.array([record.slo.ttft_s for record in records], np.float64)
    slo_tpot_s = np.array([record.slo.tpot_s for record in records], np.float64)
    start = np.cumsum(num_tokens) - num_tokens
    place = np.arange(len(at_s)) - np.repeat(start, num_tokens)
    return Tokens(
        at_s=at_s,
        since_s=at_s - np.repeat(arrived_s, num_tokens),
        due_s=np.repeat(slo_ttft_s, num_tokens) + place * np.repeat(slo_tpot_s, num_tokens),
        num_tokens=num_tokens,
        start=start,
        slo_tpot_s=slo_tpot_s,
    )


def fluidity_index(since_s: Sequence[float], ttft_s: float, tpot_s: float) -> float:
    """The share of a request's deadlines that were met, where a late token moves those of the tokens after it.

    A token by its deadline meets one, and what it comes early stays for the next ones. A late one has missed as many as
    have passed, one each `tpot_s`; the deadlines after it are counted from when it came.

    Parameters
    ----------
    since_s : sequence of float, [n]
        From the arrival to each token, at least one.
    ttft_s, tpot_s : float
        The objectives, above 0.

    Source: Etalon (arXiv 2407.07000), algorithm 1, with the objective of the TTFT as the deadline of the prefill.
    """
    met, missed = 0, 0.0
    from_s, place = ttft_s, 0
    for token_s in since_s:
        late_s = token_s - (from_s + place * tpot_s)
        place += 1
        if late_s <= 0:
            met += 1
        else:
            missed += late_s // tpot_s + 1
            from_s, place = token_s, 1
    return met / (met + missed)
