"""The serving study: policies, one after the other, on the same requests."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

from aptsched.scheduling.forms import CacheForm, CacheShape
from aptsched.scheduling.iteration_time import IterationTime
from aptsched.scheduling.plan import Policy, means_holds
from aptsched.scheduling.plan_check import PlanError
from aptsched.scheduling.record import Outcome, RequestRecord
from aptsched.scheduling.records import RecordBytes
from aptsched.scheduling.wanted_forms import lossy_wanted
from aptsched.support import interrupts
from aptsched.support.errors import InputError
from engine.calibration.pace import Pace
from engine.loop.accounted import INTERRUPTED
from engine.loop.clock import SchedulingTime
from engine.loop.iteration import Iteration
from engine.loop.limits import Limits
from engine.loop.loop import Loop
from engine.loop.worker import Skip, Worker
from engine.session.ahead import decides_ahead
from engine.simulator.stretch import Stretch
from engine.state.batch import Executor
from engine.state.pool import BlockPool
from engine.study.decision_log import DecisionLog
from engine.study.own_policy import own_within
from engine.study.phases import PhaseMeter
from engine.study.replay import Replay
from engine.study.served_run import FailedRun, ServedRun
from engine.study.usage import UsageMeter

ENOUGH = "ended early, as what it is about was known"  # the reason of requests that are unfinished then


@dataclass(frozen=True)
class NamedPolicy:
    """A policy by name; `make` gives a new one for each run, so that none remembers another run."""

    name: str
    make: Callable[[], Policy]


@dataclass(frozen=True, eq=False)
class Server:
    """The executor, cache, limits and times that all runs share.

    Attributes
    ----------
    executor : Executor
    cache : CacheShape
    num_blocks : int
        Blocks of the pool; each run begins with all of them free.
    scheduling : SchedulingTime or None
        The time of scheduling on a computed clock; None where time is real.
    limits : Limits
    times : IterationTime
        The times that policies predict iterations with.
    num_host_blocks : int
        Blocks for requests that are swapped out.
    calibrated : bool
        Whether `times` were measured on the executor, so that its iterations are compared with them.
    lossy_ratios : mapping of CacheForm to Fraction
        Lossy forms that the executor can hold. They are not in `cache`: a policy is offered those in its
        `wanted_forms`.
    skipping : callable, optional
        Makes what takes the iterations of plans that hold at once, from who is told of such stretches and whether they
        may go on where requests end; without it all iterations are taken one by one, with the same results.
    executor_of_run : callable, optional
        Makes the executor of a run, for one that remembers what it did; without it all runs share `executor`.
    overlap : bool
        Whether the next iteration is decided while one runs (`engine.session.ahead`).
    """

    executor: Executor
    cache: CacheShape
    num_blocks: int
    scheduling: SchedulingTime | None
    limits: Limits = field(default_factory=Limits)
    times: IterationTime = field(default_factory=IterationTime)
    num_host_blocks: int = 0
    calibrated: bool = False
    lossy_ratios: Mapping[CacheForm, Fraction] = field(default_factory=dict)
    skipping: Callable[[Callable[[Stretch], object], bool], Skip] | None = None
    executor_of_run: Callable[[], Executor] | None = None
    overlap: bool = False

    def pool(self, policy: Policy) -> BlockPool:
        """A pool for a run of this policy, with the lossy forms that it wants."""
        cache = self.cache.with_forms(lossy_wanted(policy, self.lossy_ratios))
        return BlockPool(self.num_blocks, cache, self.num_host_blocks)


class Watch(Protocol):
    """A function that is told how far a run is."""

    def __call__(self, policy: str, replay: Replay, num_ended: int) -> None:
        """Take note of how many requests of this run have ended; 0 when it begins."""
        ...


def serve(
    policy: NamedPolicy,
    replay: Replay,
    server: Server,
    certificates: str | os.PathLike[str] | None = None,
    watch: Watch = lambda policy, replay, num_ended: None,
    is_enough: Callable[[RequestRecord], bool] | None = None,
) -> ServedRun:
    """Serve the requests of a replay with one policy.

    Parameters
    ----------
    policy : NamedPolicy
    replay : Replay
    server : Server
    certificates : path, optional
        Path of the log of decisions that have a certificate, written during the run; no file if none has one.
    watch : Watch, optional
    is_enough : callable, optional
        Told of each request that has ended, and says whether the run may end here: the others are unfinished then. No
        phases of requests are noted in such a run.

    Returns
    -------
    ServedRun
        After Ctrl-C, or if it was stopped, it has what was done until then.

    Raises
    ------
    InputError
        A plan that is not legal, or a log that cannot be opened. There is no log then.
    """
    meter, records = UsageMeter(server.num_blocks, replay.warmup_s), RecordBytes()
    num_ended = num_unfinished = 0
    ahead = decides_ahead(server.executor) if server.overlap else None
    pace = Pace(ahead or server.executor, server.times, server.cache) if server.calibrated else None
    phases = PhaseMeter(replay.arrived_at_s[: len(replay) if is_enough is None else 0], replay.warmup_s)
    with DecisionLog(certificates, meter.add_decision) as log:

        def on_record(record: RequestRecord) -> None:
            nonlocal num_ended, num_unfinished
            if record.arrived_at_s >= replay.warmup_s:
                records.add(record)
            phases.keep(record)
            num_ended += 1
            num_unfinished += record.outcome is Outcome.UNFINISHED
            if not num_unfinished:
                watch(policy.name, replay, num_ended)
                if is_enough is not None and is_enough(record):
                    running[0].give_up(ENOUGH)

        running = list[Loop]()  # the loop, until it is over: so what it holds is freed with it, not some time later
        watch(policy.name, replay, 0)
        made = policy.make()
        watched = _all(meter.add, lambda iteration: phases.add(iteration, running[0].worker), log)
        skip: Skip | None = ahead
        if server.skipping is not None and means_holds(made):
            told = _all(meter.add, lambda stretch: phases.add_stretch(stretch, running[0].worker), log.add_stretch)
            skip = server.skipping(told, is_enough is None)
        own = server.executor if server.executor_of_run is None else server.executor_of_run()
        running.append(Loop(_worker(server, made, pace or ahead or own, on_record, watched, skip)))
        complete, reason = _ended(running[0], replay, policy.name)
        running.clear()
    return ServedRun(
        policy=policy.name,
        usage=meter.usage(),
        complete=complete,
        reason=reason,
        pace=math.nan if pace is None else pace.ratio,
        certificates=None if certificates is None or log.fault or log.is_empty else Path(certificates),
        unwritten=log.fault,
        **_counted(records, phases, replay),
    )


def _ended(loop: Loop, replay: Replay, policy: str) -> tuple[bool, str]:
    """Serve all requests; whether Ctrl-C did not end that, and why requests are unfinished."""
    try:
        return True, loop.run(replay.requests())
    except KeyboardInterrupt:
        return False, INTERRUPTED
    except PlanError as error:
        users = own_within(loop.worker.policy)
        raise InputError(f"policy {policy}: {error}{'' if users is None else users.place}") from error


def _all(*told: Callable[[Any], object]) -> Callable[[Any], None]:
    """Tells all of them."""

    def tell(what: Any) -> None:
        for each in told:
            each(what)

    return tell


def _counted(records: RecordBytes, phases: PhaseMeter, replay: Replay) -> dict[str, Any]:
    """The records of the requests that count, in order, which is by arrival, and what is known of these beside that."""
    first = int(replay.arrived_at_s.searchsorted(replay.warmup_s))
    alone_s = None if replay.alone_s is None else replay.alone_s[first:]
    known = {"rate_per_s": replay.rate_per_s, "alone_s": alone_s, "tenants": replay.own.tenants}
    return {**known, "records": records.by_number(), "phases": phases.phases()}


def _worker(
    server: Server,
    policy: Policy,
    executor: Executor,
    on_record: Callable[[RequestRecord], object],
    on_iteration: Callable[[Iteration], object],
    skip: Skip | None,
) -> Worker:
    """A worker of the server with a pool of its own, and who is told of what it does."""
    return Worker(
        policy,
        server.pool(policy),
        executor,
        on_record,
        scheduling=server.scheduling,
        limits=server.limits,
        times=server.times,
        on_iteration=on_iteration,
        skip=skip,
    )


def attempt(
    policy: NamedPolicy,
    replay: Replay,
    server: Server,
    certificates: str | os.PathLike[str] | None = None,
    watch: Watch = lambda policy, replay, num_ended: None,
    is_enough: Callable[[RequestRecord], bool] | None = None,
) -> tuple[ServedRun | FailedRun | None, bool]:
    """The result of `serve`, or why it failed; and whether Ctrl-C was pressed, even if the run was over by then.

    The run is None if Ctrl-C was pressed before the first iteration.
    """
    run: ServedRun | FailedRun | None = None
    stopped = False
    try:
        with interrupts.held():
            try:
                run = serve(policy, replay, server, certificates, watch, is_enough)
                stopped = not run.complete
            except InputError as error:
                run = FailedRun(policy.name, replay.rate_per_s, str(error))
    except KeyboardInterrupt:
        stopped = True
    begun = not isinstance(run, ServedRun) or run.complete or run.usage.is_begun
    return run if begun else None, stopped


def serve_all(
    policies: Sequence[NamedPolicy],
    replays: Sequence[Replay],
    server: Server,
    certificates: Callable[[str, Replay], Path | None] = lambda policy, replay: None,
    watch: Watch = lambda policy, replay, num_ended: None,
) -> Iterator[ServedRun | FailedRun]:
    """Every policy on every replay, as `attempt`; the run that Ctrl-C ends is the last one."""
    for replay in replays:
        for policy in policies:
            run, stopped = attempt(policy, replay, server, certificates(policy.name, replay), watch)
            if run is not None:
                yield run
            if stopped:
                return
