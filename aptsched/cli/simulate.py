"""`aptsched simulate`: policies on a computed clock, for any model and GPU."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from aptsched.cli.base import app, typer
from aptsched.cli.instance_options import (
    Certificates,
    Cv,
    ForeignCalibration,
    Seed,
    TraceFile,
    Workload,
    check_foreign,
)
from aptsched.cli.instance_options import certificates as kind_of_certificates
from aptsched.cli.model_options import MaxSeqs, MaxTokens
from aptsched.cli.policies import PolicyCommand, answers
from aptsched.cli.study import Study
from aptsched.cli.unwritten import postponed
from aptsched.support.errors import InputError

if TYPE_CHECKING:
    from aptsched.metrics.service import Metrics
    from engine.study.parallel import Task
    from engine.study.replay import Replay
    from engine.study.serving import FailedRun, ServedRun, Server
    from engine.study.simulation import Setup

POLICIES = ["fcfs,aptserve"]
NOT_OF_THE_RESULT = ("out", "as_json", "jobs")  # so that equal seeds give equal bytes


@app.command(cls=PolicyCommand)
def simulate(
    model: Annotated[str, typer.Option(metavar="M", help="As `aptsched list` shows.")] = "opt-13b",
    gpu: Annotated[str, typer.Option(metavar="G", help="As `aptsched list` shows, or a .toml file.")] = "a100-40gb",
    tp: Annotated[int, typer.Option(metavar="N", help="GPUs, tensor parallel.")] = 1,
    policy: Annotated[list[str], typer.Option(metavar="P ...", help="As listed below.")] = POLICIES,
    trace: TraceFile = None,
    workload: Workload = None,
    rate: Annotated[
        list[str] | None,
        typer.Option(metavar="R ...", help="Arrivals a second; the gaps of a trace are drawn out (default: its own)."),
    ] = None,
    cv: Cv = None,
    num_requests: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="Requests: of a trace the first, of lengths alone drawn (default 1000, or all of a file)."
        ),
    ] = None,
    duration: Annotated[
        float | None, typer.Option(metavar="S", help="All requests of so many seconds, of a trace those that it has.")
    ] = None,
    warmup: Annotated[
        float, typer.Option(metavar="S", help="Requests that arrive earlier are served, and not counted.")
    ] = 0.0,
    slo_ttft: Annotated[float, typer.Option(metavar="S", help="Objective of the time to first token, s.")] = 1.0,
    slo_tbt: Annotated[float, typer.Option(metavar="S", help="Objective of the time between tokens, s.")] = 1.0,
    max_tokens: MaxTokens = 2048,
    max_seqs: MaxSeqs = 256,
    num_blocks: Annotated[
        int | None, typer.Option(metavar="N", help="Blocks of cache (default: what the model leaves on the GPUs).")
    ] = None,
    swap_space: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE",
            help="Host memory for requests that are swapped out, such as 64GiB; 0 is none (default: four pools).",
        ),
    ] = None,
    cost: Annotated[
        str | None,
        typer.Option(metavar="C", help="As listed above (default: fits, if there are any)."),
    ] = None,
    foreign_calibration: ForeignCalibration = False,
    rho: Annotated[
        float | None, typer.Option(metavar="S", help="Seconds to rebuild K and V of a block, as policies believe.")
    ] = None,
    executed_rho: Annotated[
        float | None, typer.Option(metavar="S", help="The same, as it takes (default: what the cost says).")
    ] = None,
    seed: Seed = 0,
    jobs: Annotated[int | None, typer.Option(metavar="N", help="Processes (default: one for each CPU).")] = None,
    out: Annotated[
        str | None, typer.Option(metavar="DIR", help="Write results.json, requests.csv, certificates and plots.")
    ] = None,
    certificates: Certificates = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print results.json instead of the tables.")] = False,
) -> None:
    """Serve the same requests with each policy on modelled GPUs.

    The loop, the block pool and the policies are those of `aptsched run`; an iteration takes what a cost model says, on
    a clock that is computed. Equal seeds give equal results, byte for byte. Prints what `aptsched run` prints, and
    fairness: latencies end to end, the share of starved requests, Jain's index over the slowdown.

    \b
    Examples:
      aptsched simulate --workload sharegpt --rate 2 3 --policy fcfs,aptserve
      aptsched simulate --model opt-66b --tp 4 --policy aptserve --trace a.csv
      aptsched simulate --model llama-3-8b --gpu l40s --workload azure-code
      aptsched simulate --policy fastserve,sarathi:chunk_tokens=256 --trace a.csv
      aptsched simulate --gpu mine.toml --cost roofline --workload longbench

    \b
    Costs:
      fits      DistServe's of OPT-13B and OPT-66B, measured on A100-80GB, and
                taken as they are for A100-40GB; OPT-30B by roofline
      roofline  from the model's shape and the GPU's data sheet
      FILE      what `aptsched calibrate` measured of this model on your machine

    Several values are given as `--rate 1 2`, `--rate 1,2` or `--rate 1 --rate 2`. Ctrl-C and SIGTERM keep what is
    done: tables and files are written, and the exit code is 130 or 143. A policy that fails leaves the runs of the
    others; the exit code is 2.
    """  # noqa: D301
    options = {**locals(), "certificates": kind_of_certificates(certificates, out)}
    raise typer.Exit(_simulate(options))


def _simulate(options: dict[str, Any]) -> int:
    from aptsched.report.document import prepare
    from engine.loop.limits import Limits
    from engine.models.known_models import find_model
    from engine.simulator.gpus import find_gpu
    from engine.study import run_files, simulation
    from engine.study.replay import context_notices
    from engine.study.serving import unused_forms

    check_foreign(options["foreign_calibration"], options["cost"])
    setup = simulation.Setup(
        find_model(options["model"]),
        find_gpu(options["gpu"]),
        options["tp"],
        options["cost"],
        options["num_blocks"],
        options["rho"],
        options["executed_rho"],
        options["swap_space"],
        options["foreign_calibration"],
    )
    server = simulation.simulated_server(setup, Limits(options["max_tokens"], options["max_seqs"]))
    replays = _replays(options)
    directory = None if options["out"] is None else prepare(options["out"], run_files.FILES)
    tasks = _tasks(options, replays, server, directory)
    policies = list({task.policy.name: task.policy for task in tasks}.values())
    notices = [*simulation.cost_of(server).notices, *unused_forms(policies, server.cache)]
    notices += context_notices(replays, server.limits.max_context)
    return _study(tasks, replays, setup, directory, options, notices)


def _replays(options: dict[str, Any]) -> list[Replay]:
    """The requests at each rate."""
    from aptsched.scheduling.record import SLO
    from aptsched.support.several import numbers
    from engine.study.arrival_source import ArrivalSource
    from engine.study.simulated_replays import simulated_replays

    rates = sorted(numbers("rate", options["rate"], float)) if options["rate"] else []
    source = ArrivalSource(*(options[name] for name in ("trace", "workload", "num_requests", "cv", "seed")))
    slo = SLO(options["slo_ttft"], options["slo_tbt"])
    replays = simulated_replays(source, rates, slo, options["duration"])
    last_s = min(replay.last_arrival_s for replay in replays)
    if not 0 <= options["warmup"] <= last_s:
        raise InputError(f"warmup: {options['warmup']} is not accepted; 0 to the last arrival, at {last_s:g} s, is")
    return replays


def _tasks(options: dict[str, Any], replays: list[Replay], server: Server, directory: Path | None) -> list[Task]:
    """Every policy on every replay; the policies of a replay can ask for its lengths, as an oracle."""
    import numpy as np

    from aptsched.policies.oracle import TrueLengths
    from engine.study import run_files
    from engine.study.named_policies import named_policies
    from engine.study.parallel import Task

    tasks = []
    for replay in replays:
        oracle = TrueLengths(np.arange(len(replay)), replay.num_output_tokens)
        for policy in named_policies(options["policy"], answers(), oracle):
            kind = options["certificates"]
            path = directory and run_files.certificates_path(directory, policy.name, replay, replays, kind)
            tasks.append(Task(policy, replay, server, path))
    return tasks


def _study(
    tasks: list[Task],
    replays: list[Replay],
    setup: Setup,
    directory: Path | None,
    options: dict[str, Any],
    notices: Sequence[str],
) -> int:
    """All runs, and what is written and printed of them; `notices` are those of the command."""
    from aptsched.report.document import as_json, sealed
    from engine.study import fairness, run_files, simulation

    server, results = tasks[0].server, Study(len(tasks))
    try:
        results.collect(_served(tasks, options["jobs"]))
    finally:  # whatever ends it, what is done is kept
        results.runs = runs = [fairness.after(run, options["warmup"]) for run in results.runs]
        metrics = [fairness.fairness(run, replays, simulation.cost_of(server)) for run in runs]
        document = _document(results, replays, setup, server, options, metrics, notices)
        if directory is not None and runs:
            with postponed(results.unwritten):
                document = run_files.write(directory, document, runs)
    if options["as_json"]:
        print(as_json(sealed(document)), end="")
    elif runs:
        _show(runs, replays, server, metrics, document["notices"])
    return results.exit_code()


def _served(tasks: list[Task], jobs: int | None) -> Iterator[ServedRun | FailedRun]:
    from aptsched.report.progress import counting
    from engine.study.parallel import serve_tasks

    if jobs is not None and jobs < 1:
        raise InputError(f"jobs: {jobs} is not accepted; at least 1 is")
    with counting(sum(len(task.replay) for task in tasks), "requests ended") as progress:
        yield from serve_tasks(tasks, jobs or os.cpu_count() or 1, progress)


def _document(
    results: Study,
    replays: list[Replay],
    setup: Setup,
    server: Server,
    options: dict[str, Any],
    metrics: list[Metrics],
    notices: Sequence[str],
) -> dict[str, Any]:
    """The document of `aptsched run`, with Jain's index and what is beyond the context."""
    from aptsched.report.document import known
    from engine.study import run_files, simulation
    from engine.study.replay import beyond_context

    shown = {name: value for name, value in options.items() if name not in NOT_OF_THE_RESULT}
    described = simulation.describe(setup, server)
    document = run_files.document(results.runs, replays, shown, described, results.complete, notices, results.failed)
    for summary, of_run in zip(document["summary"], metrics, strict=True):
        summary["jain"] = known(of_run.jain)
    for each, replay in zip(document["replays"], replays, strict=True):
        each["num_beyond_context"] = beyond_context(replay, server.limits.max_context)
    return document


def _show(
    runs: list[ServedRun], replays: list[Replay], server: Server, metrics: list[Metrics], notices: Sequence[str]
) -> None:
    from aptsched.report import table
    from engine.study import fairness, run_table

    notes = [*run_table.notes(runs, replays[0], notices), *fairness.NOTES, setup_line(server)]
    tables = [
        (run_table.LATENCY, run_table.latency_sections(runs)),
        (run_table.ENGINE, run_table.engine_sections(runs)),
        (fairness.COLUMNS, fairness.sections(runs, metrics)),
        (run_table.RATES, run_table.rate_sections(runs)),
    ]
    shown = [(columns, sections) for columns, sections in tables if sections]
    for columns, sections in shown:
        table.show(columns, sections, notes if sections is shown[-1][1] else [], sys.stdout)


def setup_line(server: Server) -> str:
    """What the figures rest on, in a line."""
    from engine.study.simulation import cost_of

    return f"Computed with {server.num_blocks} blocks of {server.cache.block_size} tokens, by {cost_of(server).source}."
