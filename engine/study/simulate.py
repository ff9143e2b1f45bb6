"""The serving study on a computed clock: policies on modelled GPUs, from Python as from the command line."""

from __future__ import annotations

import dataclasses
import os
import pickle
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from aptsched.policies.oracle import TrueLengths
from aptsched.report.document import prepare
from aptsched.scheduling.forms import unseen_needs
from aptsched.support.errors import InputError, described
from aptsched.support.keywords import called_with
from engine.simulator.cost import Cost
from engine.study import run_files, simulation
from engine.study.named_policies import named_policies
from engine.study.offered_forms import unused_forms, with_wanted
from engine.study.parallel import Task, results_of
from engine.study.replay import Replay, context_notices
from engine.study.serving import NamedPolicy
from engine.study.serving_study import ServingStudy, collected
from engine.study.simulate_options import SimulateOptions
from engine.study.simulated_replays import simulated_replays


@called_with(SimulateOptions)
def simulate(options: SimulateOptions) -> ServingStudy:
    """Serve the same requests with each policy on modelled GPUs, on a clock that is computed.

    Equal seeds give equal results. Ctrl-C ends the study and keeps what is done; `complete` is False then. The keywords
    are those of `SimulateOptions`, as in `simulate(workload="sharegpt", rate=[2, 3], policy=["fcfs", Mine])`.

    Returns
    -------
    ServingStudy
        Printed it is the tables of `aptsched simulate`; `to_pandas()`, `document` and `write(directory)` have the rest.

    Raises
    ------
    InputError
        Names the option, its value and what is accepted. A policy that fails is in `failed` instead, and another error
        that ends the study after its first run is in `error`.
    """
    study = serve_simulated(options)
    if study.error is not None and not study.runs:
        raise study.error
    return study


def serve_simulated(options: SimulateOptions, out: str | None = None) -> ServingStudy:
    """Run the study that these options describe.

    Parameters
    ----------
    options : SimulateOptions
    out : str, optional
        The directory that the study will be written to, made once the trace is read; logs of decisions grow in it.
        Without it they grow in a temporary folder of the study's own.
    """
    setup = options.setup
    server = simulation.simulated_server(setup, options.limits)
    cost = simulation.cost_of(server)
    replays = _replays(options, cost)
    runs_to_come = list(_policies_on(options, replays))
    policies = list({policy.name: policy for policy, _ in runs_to_come}.values())
    server = with_wanted(server, policies)
    jobs = options.jobs or os.cpu_count() or 1
    if jobs > 1 and len(runs_to_come) > 1:
        check_can_be_sent(policies, f"jobs: {jobs}")
    directory, folder = _directory(options, out)  # once nothing that was asked for can be refused any more
    tasks = [
        Task(policy, replay, server, _log_of(options, directory, policy, replay, replays))
        for policy, replay in runs_to_come
    ]
    notices = [*options.slo_notices, *setup.config.notices, *cost.notices, *unused_forms(policies, server)]
    notices += simulation.unused_swaps(setup, server)
    notices += unseen_needs(server.lossy_ratios)
    notices += simulation.unmeasured_forms(policies, server)
    notices += context_notices(replays, server.limits.max_context)
    total = sum(len(task.replay) for task in tasks)
    runs, failed, error = collected(results_of(tasks, jobs, lambda num_ended: options.progress(num_ended, total)))
    return ServingStudy(
        runs=tuple(runs),
        failed=tuple(failed),
        replays=tuple(replays),
        server=server,
        num_planned=len(tasks),
        options=options.recorded(),
        setup=simulation.simulated_setup(setup, server),
        notices=tuple(notices),
        cost=cost,
        directory=directory,
        error=error,
        folder=folder,
    )


def check_can_be_sent(policies: Sequence[NamedPolicy], given: str, accepted: str = "1 is") -> None:
    """Raises InputError unless the policies can be pickled, as other processes need them, for which `given` asks."""
    for policy in policies:
        try:
            pickle.dumps(policy)
        except Exception as error:
            why = f"policy {policy.name} cannot be sent to other processes ({described(error)})"
            raise InputError(f"{given} is not accepted, as {why}; {accepted}") from error


def _directory(options: SimulateOptions, out: str | None) -> tuple[Path | None, object]:
    """The directory of the logs of decisions, and the object that removes it if it is a temporary one."""
    if out is not None:
        return prepare(out, run_files.FILES), None
    if options.certificates == "none":
        return None, None
    folder = tempfile.TemporaryDirectory(prefix="aptsched-", ignore_cleanup_errors=True)
    return Path(folder.name), folder


def _replays(options: SimulateOptions, cost: Cost) -> list[Replay]:
    """The requests at each rate, with their warm-up and how long each would take alone."""
    replays = simulated_replays(options.source, options.rates_per_s, options.slo_of_all, options.duration)
    last_s = min(replay.last_arrival_s for replay in replays)
    if not 0 <= options.warmup <= last_s:
        raise InputError(f"warmup: {options.warmup} is not accepted; 0 to the last arrival, at {last_s:g} s, is")
    return [
        dataclasses.replace(each, warmup_s=options.warmup, alone_s=simulation.alone_s(each, cost)) for each in replays
    ]


def _policies_on(options: SimulateOptions, replays: list[Replay]) -> Iterator[tuple[NamedPolicy, Replay]]:
    """Every policy on every replay; the true lengths of a replay are its policies' oracle."""
    for replay in replays:
        oracle = TrueLengths(np.arange(len(replay)), replay.num_output_tokens)
        for policy in named_policies(options.policy, options.select, oracle):
            yield policy, replay


def _log_of(
    options: SimulateOptions, directory: Path | None, policy: NamedPolicy, replay: Replay, replays: list[Replay]
) -> Path | None:
    """The path of a run's log of decisions; None where no logs are kept."""
    return directory and run_files.certificates_path(directory, policy.name, replay, replays, options.certificates)
