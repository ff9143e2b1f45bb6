"""One search: a policy in one setting under one pair of objectives, with the requests of one seed at any rate."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from aptsched.metrics.rate_search import Probe
from aptsched.policies.composition import Select
from aptsched.policies.oracle import TrueLengths
from aptsched.report.document import known
from aptsched.scheduling.record import SLO
from aptsched.support.errors import InputError
from aptsched.support.plural import how_many
from aptsched.workload.trace import Trace
from engine.capacities.setting import Setting
from engine.simulator.cost import Cost
from engine.study.arrival_source import ArrivalSource, read_source
from engine.study.named_policies import OnePolicy, named_policies
from engine.study.replay import Replay
from engine.study.served_run import ServedRun
from engine.study.serving import NamedPolicy
from engine.study.simulated_replays import simulated_replays
from engine.study.simulation import alone_s


@dataclass(frozen=True)
class Objectives:
    """The objectives of each request, by a name."""

    name: str
    slo: SLO

    def __str__(self) -> str:
        return f"{self.name} (TTFT {self.slo.ttft_s:g} s, TPOT {self.slo.tpot_s:g} s)"


@dataclass(frozen=True)
class Arrivals:
    """Where the requests of a seed come from, in one setting and under one pair of objectives.

    Attributes
    ----------
    source : ArrivalSource
        With the seed, and with this seed's part of a trace that has times.
    setting : Setting
    objectives : Objectives
    number : int
        Which of the seeds it is, from 0.
    """

    source: ArrivalSource
    setting: Setting
    objectives: Objectives
    number: int

    def at(self, rate_per_s: float, cost: Cost) -> Replay:
        """The requests at a rate, as `aptsched simulate` serves them with the same options."""
        duration_s = self.setting.duration_s
        (found,) = simulated_replays(self.source, [rate_per_s], self.objectives.slo, duration_s)
        if found.last_arrival_s < self.setting.warmup_s:
            raise InputError(
                f"warmup: {self.setting.warmup_s} is not accepted; up to {found.last_arrival_s:g} s is, when the last "
                f"request arrives at {rate_per_s:g} a second"
            )
        return dataclasses.replace(found, warmup_s=self.setting.warmup_s, alone_s=alone_s(found, cost))


@dataclass(frozen=True)
class Case:
    """A policy on the requests of a seed.

    Attributes
    ----------
    policy : str
        Its name.
    given : text, class or object
        As in `named_policies`.
    select : mapping of str to callable
    arrivals : Arrivals
    """

    policy: str
    given: OnePolicy
    arrivals: Arrivals
    select: Mapping[str, Select] = field(default_factory=dict)

    def made_for(self, replay: Replay) -> NamedPolicy:
        """The policy for a run of these requests; their true lengths are its oracle."""
        oracle = TrueLengths(np.arange(len(replay)), replay.num_output_tokens)
        (named,) = named_policies({self.policy: self.given}, self.select, oracle)
        return named


@dataclass(frozen=True, kw_only=True)
class Probed(Probe):
    """A probe with the figures of its run; of one that was given up all are None.

    Attributes
    ----------
    was_stable : bool or None
        Whether the run was stable, also in a setting that does not ask for it.
    num_requests : int
        Those that count.
    p99_ttft_s, p99_latency_s : float, optional
    rejected, stalled_over_10_s : float, optional
        Shares of the requests that count.
    tokens_per_s : float, optional
        Output tokens over the time from the first arrival to the last token.
    tokens_per_request : float, optional
    """

    was_stable: bool | None = None
    num_requests: int = 0
    p99_ttft_s: float | None = None
    p99_latency_s: float | None = None
    rejected: float | None = None
    stalled_over_10_s: float | None = None
    tokens_per_s: float | None = None
    tokens_per_request: float | None = None


def probed(run: ServedRun, setting: Setting) -> Probed:
    """What a run came to."""
    metrics = run.metrics
    return Probed(
        rate_per_s=run.rate_per_s,
        attained=setting.attained(metrics),
        stable=setting.accepts(metrics),
        was_stable=metrics.stable,
        num_requests=metrics.num_requests,
        p99_ttft_s=known(metrics.ttft.p99_s),
        p99_latency_s=known(metrics.latency.p99_s),
        rejected=metrics.rejected,
        stalled_over_10_s=metrics.stalled_over_10_s,
        tokens_per_s=known(metrics.tokens_per_s),
        tokens_per_request=metrics.tokens_per_s * metrics.span_s / metrics.num_requests,
    )


def windows(source: ArrivalSource, num_seeds: int) -> list[ArrivalSource]:
    """The sources of so many seeds, which share no request where the trace has times.

    A workload, and a file with lengths alone, are drawn anew with each seed: the given one, and those after it. A trace
    with times is cut into so many parts, of as many requests each.

    Raises
    ------
    InputError
        The trace has fewer than two requests for each seed.
    """
    read = None if source.trace is None else read_source(dataclasses.replace(source, num_requests=None), None)
    seeds = [dataclasses.replace(source, trace=read, seed=source.seed + number) for number in range(num_seeds)]
    if read is None or read.arrived_at_s is None:
        return seeds
    if len(read) < 2 * num_seeds:
        few = f"it has {how_many(len(read), 'request')} for {how_many(num_seeds, 'seed')}"
        raise InputError(f"trace: {few}; at least 2 for each seed are accepted, and --seeds says how many there are")
    ends = np.linspace(0, len(read), num_seeds + 1).astype(int).tolist()
    longest = source.num_requests or len(read)
    return [
        dataclasses.replace(each, trace=_part(read, first, min(end, first + longest)), num_requests=None)
        for each, first, end in zip(seeds, ends[:-1], ends[1:], strict=True)
    ]


def own_objectives(arrivals: Sequence[Arrivals]) -> list[str]:
    """A notice where rows of the trace have objectives of their own, which hold in place of the study's."""
    traces = [each.source.trace for each in arrivals]
    if not any(isinstance(trace, Trace) and trace.own.num_own_slo for trace in traces):
        return []
    return ["Requests of the trace with objectives of their own are held to these, whatever stands above a table."]


def _part(trace: Trace, first: int, end: int) -> Trace:
    """Some requests of a trace, the first of which comes at 0."""
    part = trace.rows(slice(first, end))
    assert part.arrived_at_s is not None
    return dataclasses.replace(part, arrived_at_s=part.arrived_at_s - part.arrived_at_s[0])
