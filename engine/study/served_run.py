"""What came of a run: one policy on the requests of one replay, or why there is nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aptsched.metrics.service import Metrics, summarise
from aptsched.scheduling.record import RequestRecord
from aptsched.support.checks import Floats
from aptsched.support.lazy import lazy
from engine.study.phases import RequestPhases
from engine.study.usage import Usage


@dataclass(frozen=True, eq=False)
class ServedRun:
    """The result of one policy on the requests of one replay.

    Attributes
    ----------
    policy : str
    rate_per_s : float
        Rate of the replay.
    records : sequence of RequestRecord
        One for each request that counts, in order of arrival: those of the warm-up do not.
    usage : Usage
        Of the iterations that began after the warm-up.
    complete : bool
        False if Ctrl-C ended the run, so that requests are unfinished.
    reason : str
        Why requests are unfinished: Ctrl-C, nothing ran any more, or the run was stopped; empty if none are.
    pace : float
        Actual over predicted seconds of the iterations; nan without a calibration.
    certificates : path, optional
        The log of its decisions; None where none was written.
    unwritten : str
        Why the log could not be written to its end; empty otherwise.
    alone_s : float array, [r], optional
        How long each of the requests would take alone, where that is known.
    tenants : tuple of str
        The names of the tenants that its records have as numbers; empty where there are none.
    phases : tuple of RequestPhases
        What some of the requests did when.
    """

    policy: str
    rate_per_s: float
    records: Sequence[RequestRecord]
    usage: Usage
    complete: bool
    reason: str = ""
    pace: float = math.nan
    certificates: Path | None = None
    unwritten: str = ""
    alone_s: Floats | None = None
    tenants: tuple[str, ...] = ()
    phases: tuple[RequestPhases, ...] = ()

    @lazy
    def by_tenant(self) -> dict[str, Metrics]:
        """The metrics of each tenant's requests, of those that have any."""
        found = dict[str, Metrics]()
        if not self.tenants:
            return found
        tenant = np.fromiter((record.tenant for record in self.records), np.int64, len(self.records))
        order = np.argsort(tenant, kind="stable")
        order = order[np.searchsorted(tenant[order], 0) :]
        for rows in np.split(order, np.flatnonzero(np.diff(tenant[order])) + 1) if len(order) else ():
            alone_s = None if self.alone_s is None else self.alone_s[rows]
            name = self.tenants[tenant[rows[0]]]
            found[name] = summarise(self.records, alone_s, rows)
        return found

    @lazy
    def metrics(self) -> Metrics:
        """The metrics of its requests."""
        return summarise(self.records, self.alone_s)


@dataclass(frozen=True)
class FailedRun:
    """A run without a result, and why: its policy raised an error, or returned a plan that is not legal."""

    policy: str
    rate_per_s: float
    reason: str
