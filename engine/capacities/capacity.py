"""The highest rates that policies hold, from Python as from the command line."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from aptsched.metrics.interval import seeds_needed
from aptsched.policies.oracle import TrueLengths
from aptsched.report.document import versions
from aptsched.scheduling.forms import CacheForm, unseen_needs
from aptsched.scheduling.wanted_forms import wanted_forms
from aptsched.support import files
from aptsched.support.keywords import called_with
from aptsched.support.shown import shown
from engine.capacities import capacity_files
from engine.capacities.bound import Pool, highest_tried, rate_without_end
from engine.capacities.bounding import Bounded, Bounding
from engine.capacities.capacity_study import CapacityStudy
from engine.capacities.case import Case, own_objectives
from engine.capacities.found import Group
from engine.capacities.kept import FOLDER, Kept, can_be_kept, code_digest
from engine.capacities.on_dask import results_on
from engine.capacities.options import MOST_SEEDS, CapacityOptions
from engine.capacities.search import Search, Searched, search_size
from engine.study import simulation
from engine.study.named_policies import by_name, named_policies
from engine.study.offered_forms import unused_forms, with_wanted
from engine.study.own_policy import own_within
from engine.study.parallel import results_of
from engine.study.replay import Replay
from engine.study.served_run import FailedRun
from engine.study.serving import NamedPolicy, Server
from engine.study.simulate import check_can_be_sent

DOUBT = 2.0  # the first rate of all is what no policy passes, over this
Result = Searched | Bounded | FailedRun


@called_with(CapacityOptions)
def capacity(options: CapacityOptions) -> CapacityStudy:
    """The highest request rate that each policy holds, with an interval, and the rate that none passes.

    Each policy is run on a computed clock at rates that are searched, with several seeds, which are the same for all
    policies. Equal options give equal results on any number of processes. The keywords are those of `CapacityOptions`,
    as in `capacity(workload="sharegpt", policy=["fcfs", "aptserve"], level=0.9)`.

    Returns
    -------
    CapacityStudy
        Printed it is the tables of `aptsched capacity`; `capacities`, `comparisons`, `to_pandas()`, `document` and
        `write(directory)` have the rest.

    Raises
    ------
    InputError
        Names the option, its value and what is accepted. A policy that fails is in `failed` instead.
    """
    return search_capacity(options)


def search_capacity(options: CapacityOptions, out: str | None = None) -> CapacityStudy:
    """Make the study that these options describe.

    Parameters
    ----------
    options : CapacityOptions
    out : str, optional
        The directory that the study will be written to. What comes of each run is kept there as soon as it is known,
        so that the same study goes on from there after it was ended.
    """
    server = simulation.simulated_server(options.setup, options.limits)
    number, length = np.zeros(1, np.int64), np.ones(1, np.int64)  # of an oracle that is asked nothing
    policies = named_policies(options.policy, options.select, TrueLengths(number, length))
    server = with_wanted(server, policies)
    if options.cluster is not None:
        check_can_be_sent(policies, f"cluster: {shown(options.cluster)}", "jobs: 1 is")
    elif (options.jobs or os.cpu_count() or 1) > 1:
        check_can_be_sent(policies, f"jobs: {options.jobs or os.cpu_count() or 1}")
    directory = None if out is None else capacity_files.place(out, options.recorded())
    searches = _Searches(options, server, {policy.name: _forms(policy, server) for policy in policies}, directory)
    searches.run()
    cost = simulation.cost_of(server)
    notices = [*options.unused_notices, *options.setup.config.notices, *cost.notices, *unused_forms(policies, server)]
    notices += own_objectives(searches.groups[0].arrivals)
    notices += simulation.unused_swaps(options.setup, server)
    notices += unseen_needs(server.lossy_ratios)
    notices += simulation.unmeasured_forms(policies, server)
    return CapacityStudy(
        groups=tuple(searches.groups),
        levels=tuple(options.levels),
        failed=tuple(searches.failed),
        options=options.recorded(),
        setup=simulation.simulated_setup(options.setup, server),
        notices=tuple(notices),
        complete=searches.complete,
        gpus_for=options.gpus_for,
        num_gpus=options.tp,
        price_per_hour=options.setup.gpu.price_per_hour,
        directory=directory,
    )


def _forms(policy: NamedPolicy, server: Server) -> tuple[CacheForm | int, ...]:
    """The forms that a policy may give: those it wants; one of the user's own any that is offered, others KV alone."""
    made = policy.make()
    wanted = wanted_forms(made)
    own = () if own_within(made) is None else server.cache.offered
    return tuple(sorted({CacheForm.KV, *wanted, *own}))


@dataclass(eq=False)
class _Searches:
    """The searches of a study, in waves: what is searched next depends on whole waves, never on who was faster.

    The first seed's search begins at a guess, those of the others where that of the first ended; seeds are added once
    all others are searched.
    """

    options: CapacityOptions
    server: Server
    forms: dict[str, tuple[CacheForm | int, ...]]
    directory: Path | None

    def __post_init__(self) -> None:
        options = self.options
        count = options.first_seeds
        self.groups = [
            Group(setting, objectives, options.arrivals(setting, objectives, count), {}, {}, count)
            for setting, objectives in options.groups()
        ]
        self.failed: list[FailedRun] = []
        self.complete = True
        self._given = by_name(options.policy)
        self._kept = self._folder()
        self._num_done = 0
        self._later = (count - 1) * len(self.groups) * len(self._given) * search_size(len(options.levels))

    def run(self) -> None:
        """Search everything; after Ctrl-C what was found until then is there, and `complete` is False."""
        self._wave([*self._search([0]), *self._bounding(range(self.options.first_seeds))])
        self._later = 0
        if self.complete:
            self._wave(list(self._search(range(1, self.options.first_seeds))))
        more = self._seeds_to_add() if self.complete else range(0)
        if more:
            for group in self.groups:
                group.arrivals = self.options.arrivals(group.setting, group.objectives, more.stop)
            self._wave([*self._search(more), *self._bounding(more)])

    def _wave(self, tasks: Sequence[Search | Bounding]) -> None:
        """Do the tasks, and take up what comes of them."""
        before, size = self._num_done, sum(task.size for task in tasks)
        total = before + size + self._later
        num_results = 0
        with contextlib.suppress(KeyboardInterrupt):
            for result in self._results(tasks, lambda done: self.options.progress(before + done, total)):
                self._take(result)
                num_results += 1
        self._num_done, self.complete = before + size, num_results == len(tasks)

    def _results(self, tasks: Sequence[Search | Bounding], progress: Callable[[int], None]) -> Iterator[Result]:
        if self.options.cluster is not None:
            carrying = [task.carrying() if isinstance(task, Search) else task for task in tasks]
            return results_on(self.options.cluster, carrying, progress, self._keep)
        return results_of(tasks, self.options.jobs or os.cpu_count() or 1, progress)

    def _keep(self, result: Result) -> None:
        """Keep the probes of a search that was made elsewhere."""
        if self._kept is not None and isinstance(result, Searched) and can_be_kept(result.case):
            for probe in result.probes:
                if self._kept.get(result.case, probe.rate_per_s) is None:
                    self._kept.put(result.case, probe)

    def _take(self, result: Result) -> None:
        if isinstance(result, FailedRun):
            if result not in self.failed:
                self.failed.append(result)
            return
        arrivals = result.case.arrivals if isinstance(result, Searched) else result.arrivals
        group = next(
            each for each in self.groups if (each.setting, each.objectives) == (arrivals.setting, arrivals.objectives)
        )
        if isinstance(result, Searched):
            group.searched[result.case.policy, arrivals.number] = result
            return
        for policy, forms in self.forms.items():
            if forms == result.forms:
                bounds = zip(self.options.levels, result.bounds_per_s, strict=True)
                group.bounds |= {(policy, level, arrivals.number): bound for level, bound in bounds}

    def _search(self, numbers: Iterable[int]) -> Iterator[Search]:
        """The searches of these seeds, of policies that have not failed."""
        failed = {run.policy for run in self.failed}
        for number in numbers:
            for group in self.groups:
                for policy, given in self._given.items():
                    if policy not in failed:
                        case = Case(policy, given, group.arrivals[number], self.options.select)
                        kept = self._kept if can_be_kept(case) else None
                        first = self._first_per_s(group, policy, number)
                        yield Search(case, self.server, self.options.levels, first, kept)

    def _bounding(self, numbers: Iterable[int]) -> Iterator[Bounding]:
        for number in () if self.options.no_bound else numbers:
            for group in self.groups:
                for forms in dict.fromkeys(self.forms.values()):
                    yield Bounding(group.arrivals[number], self._pool(forms), tuple(self.options.levels))

    def _pool(self, forms: tuple[CacheForm | int, ...]) -> Pool:
        server, limits = self.server, self.server.limits
        cache = server.cache.with_forms(server.lossy_ratios)
        cost = simulation.cost_of(server)
        return Pool(cost, cache, forms, server.num_blocks, limits.max_seqs, limits.max_context)

    def _first_per_s(self, group: Group, policy: str, number: int) -> float:
        """Where a search begins: at the rate of the first seed, or at a guess; of a short trace at a lower one."""
        cost = simulation.cost_of(self.server)

        def replay_at(rate_per_s: float) -> Replay:
            return group.arrivals[number].at(rate_per_s, cost)

        if number:
            rates = [group.searched[policy, 0].rate_per_s(level) for level in self.options.levels]
            found = [rate for rate in rates if rate > 0]
            if found:
                return found[0] if self.options.is_drawn else highest_tried(replay_at, found[0])
        if self.options.rates_per_s:
            return self.options.rates_per_s[0]
        lengths = replay_at(highest_tried(replay_at, 1.0))
        guess = rate_without_end(lengths, self.options.levels[0], self._pool(self.forms[policy])) / DOUBT
        return guess if self.options.is_drawn else highest_tried(replay_at, guess)

    def _seeds_to_add(self) -> range:
        """The numbers of the seeds that intervals still need to be narrow enough."""
        wanted, count = self.options.narrow_enough, self.options.first_seeds
        if wanted is None or count < 2 or not self.options.is_drawn:
            return range(0)
        rates = [
            group.rates_per_s(policy, level)
            for group in self.groups
            for policy in group.policies
            for level in self.options.levels
        ]
        needed = max((seeds_needed(each, wanted, MOST_SEEDS) for each in rates), default=count)
        return range(count, needed)

    def _folder(self) -> Kept | None:
        """Where probes are kept."""
        if self.directory is None:
            return None
        decides = {
            "setup": simulation.simulated_setup(self.options.setup, self.server),
            "limits": asdict(self.server.limits),
            "code": code_digest(),
            "versions": versions(("numpy", "numba")),
        }
        return Kept(files.make_directory(self.directory / FOLDER), decides, min(self.options.levels))
