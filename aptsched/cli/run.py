"""`aptsched run`: policies on a real model, one after the other on the same requests."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from collections.abc import Mapping, Sequence
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
from aptsched.cli.model_options import (
    CacheMem,
    Device,
    Dtype,
    ExpandKvHeads,
    MaxSeqs,
    MaxTokens,
    ModelName,
    NumBlocks,
    SwapSpace,
    Threads,
    blocks,
    blocks_on_host,
    check_memory,
    load,
    measure,
    require_torch,
)
from aptsched.cli.policies import PolicyCommand, answers
from aptsched.cli.run_progress import RunProgress
from aptsched.cli.study import ended
from aptsched.support import interrupts

if TYPE_CHECKING:
    from aptsched.scheduling.iteration_time import IterationTime
    from engine.calibration.measure import Calibration
    from engine.study.replay import Replay
    from engine.study.serving import NamedPolicy, Server

POLICIES = ["fcfs,aptserve"]
MeasuredRho = Annotated[
    float | None,
    typer.Option("--rho", metavar="S", help="Seconds to rebuild K and V of a block, in place of what is measured."),
]


@app.command(cls=PolicyCommand)
def run(
    model: ModelName = "smollm2",
    policy: Annotated[list[str], typer.Option(metavar="P ...", help="As listed below.")] = POLICIES,
    trace: TraceFile = None,
    workload: Workload = None,
    rate: Annotated[
        list[str] | None,
        typer.Option(
            metavar="R ...",
            help="Arrivals a second; the gaps of a trace are drawn out (default: its own, 3 without any).",
        ),
    ] = None,
    cv: Cv = None,
    num_requests: Annotated[
        int | None,
        typer.Option(metavar="N", help="Requests: of a trace the first, of lengths alone drawn (default 100)."),
    ] = None,
    slo_ttft: Annotated[float, typer.Option(metavar="S", help="Objective of the time to first token, s.")] = 1.0,
    slo_tbt: Annotated[float, typer.Option(metavar="S", help="Objective of the time between tokens, s.")] = 1.0,
    max_prompt_tokens: Annotated[int | None, typer.Option(metavar="N", help="Clip longer prompts.")] = None,
    max_output_tokens: Annotated[int | None, typer.Option(metavar="N", help="Clip longer outputs.")] = None,
    cache_mem: CacheMem = None,
    num_blocks: NumBlocks = None,
    swap_space: SwapSpace = None,
    max_tokens: MaxTokens = 2048,
    max_seqs: MaxSeqs = 256,
    dtype: Dtype = "fp32",
    device: Device = "cpu",
    threads: Threads = None,
    expand_kv_heads: ExpandKvHeads = False,
    calibration: Annotated[
        str | None, typer.Option(metavar="FILE", help="What `aptsched calibrate` wrote (default: measured first).")
    ] = None,
    foreign_calibration: ForeignCalibration = False,
    rho: MeasuredRho = None,
    seed: Seed = 0,
    out: Annotated[
        str | None, typer.Option(metavar="DIR", help="Write results.json, requests.csv, certificates and plots.")
    ] = None,
    certificates: Certificates = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print results.json instead of the tables.")] = False,
) -> None:
    """Serve the same requests with each policy on a real model.

    Replays arrivals in real time, one policy after the other, and prints what each comes to: TTFT and TBT (median,
    p90, p99), the share of requests within their objectives, goodput, preemptions, swaps and promotions, memory in KV
    and hidden form, the certified gap of each decision, the time that scheduling takes. With several rates it also
    prints the highest one at which 60% and 90% of the requests are within both objectives.

    \b
    Examples:
      aptsched run --workload sharegpt --rate 2 --num-requests 50
      aptsched run --policy fcfs,aptserve:select=core --trace a.csv --rate 0.5 1
      aptsched run --policy fcfs mine.py:Mine --workload humaneval --out study
      aptsched run --model path/to/opt --cache-mem 256MiB --workload longbench

    Several values are given as `--rate 1 2`, `--rate 1,2` or `--rate 1 --rate 2`. Prompts are random tokens; outputs
    have the lengths of the trace, which no policy sees. Ctrl-C and SIGTERM keep what is done: tables and files are
    written, and the exit code is 130 or 143. A policy that fails leaves the runs of the others; the exit code is 2.
    """  # noqa: D301
    options = {**locals(), "certificates": kind_of_certificates(certificates, out)}
    try:
        code = _run(options)
    except KeyboardInterrupt:
        print("interrupted: nothing was served yet", file=sys.stderr)
        code = interrupts.EXIT_CODE
    raise typer.Exit(code)


def _run(options: dict[str, Any]) -> int:
    require_torch()
    from aptsched.report.document import prepare
    from engine.loop.limits import Limits
    from engine.study import run_files
    from engine.study.named_policies import named_policies
    from engine.study.replay import context_notices
    from engine.study.serving import unused_forms, with_wanted

    policies = named_policies(options["policy"], answers())
    replays = _replays(options)
    limits = Limits(options["max_tokens"], options["max_seqs"])
    check_memory(options["cache_mem"], options["num_blocks"], options["swap_space"])
    times, measured = _known_times(options["calibration"], options["rho"])
    foreign = _foreign(measured, options)
    directory = None if options["out"] is None else prepare(options["out"], run_files.FILES)
    model = load(*(options[name] for name in ("model", "dtype", "device", "threads", "expand_kv_heads")))
    from engine.study import real_model

    num_blocks = blocks(model, options["cache_mem"], options["num_blocks"])
    num_host_blocks = blocks_on_host(model, options["swap_space"], num_blocks)
    if times is None:
        measured = measure(model, directory)
        times = measured.times
    server = real_model.live_server(
        model, num_blocks, limits, times, num_host_blocks, measured is not None and not foreign
    )
    server = with_wanted(server, policies)
    vocab_size, max_context = model.config.vocab_size, server.limits.max_context
    replays = [dataclasses.replace(each, vocab_size=vocab_size, max_context=max_context) for each in replays]
    broken = real_model.warm_up(policies, replays[0], server)
    setup = real_model.describe(model, server, measured)
    notices = [*foreign, *unused_forms(policies, server), *model.notices, *context_notices(replays, max_context)]
    return _study(policies, replays, server, directory, options, setup, notices, broken)


def _replays(options: dict[str, Any]) -> list[Replay]:
    """The requests at each rate, still without tokens, which are the model's."""
    from aptsched.scheduling.record import SLO
    from aptsched.support.several import numbers
    from engine.study.arrival_source import ArrivalSource, traces
    from engine.study.replay import replay

    source = ArrivalSource(*(options[name] for name in ("trace", "workload", "num_requests", "cv", "seed")))
    rates = sorted(numbers("rate", options["rate"], float)) if options["rate"] else []
    slo = SLO(options["slo_ttft"], options["slo_tbt"])
    clip = {name: options[name] for name in ("max_prompt_tokens", "max_output_tokens")}
    return [replay(trace, slo, rate, options["seed"], **clip) for rate, trace in traces(source, rates)]


def _foreign(measured: Calibration | None, options: dict[str, Any]) -> list[str]:
    """Notices of a calibration of something else, where it is taken all the same."""
    if measured is None:
        check_foreign(options["foreign_calibration"], options["calibration"])
        return []
    from engine.calibration.foreign import check_run
    from engine.models.model_names import model_name

    model = model_name(options["model"], options["expand_kv_heads"])
    return check_run(measured, model, options["dtype"], options["device"], foreign=options["foreign_calibration"])


def _known_times(file: str | None, rho: float | None) -> tuple[IterationTime | None, Calibration | None]:
    """What an iteration takes, where the options say so: a file, in which `--rho` has its own way, or that alone."""
    from aptsched.scheduling.iteration_time import IterationTime

    if file is None:
        return None if rho is None else IterationTime(rho_s_per_block=rho), None
    from engine.calibration import measure

    known = measure.load(file)
    return known.times if rho is None else dataclasses.replace(known.times, rho_s_per_block=rho), known


def _study(
    policies: list[NamedPolicy],
    replays: list[Replay],
    server: Server,
    directory: Path | None,
    options: dict[str, Any],
    setup: dict[str, Any],
    notices: Sequence[str],
    broken: Mapping[str, str],
) -> int:
    """All runs but of broken policies, and what is written and printed of them; `notices` are those of the command."""
    from engine.study import run_files, serving
    from engine.study.serving import FailedRun
    from engine.study.serving_study import ServingStudy, collected

    def certificates(policy: str, replay: Replay) -> Path | None:
        return directory and run_files.certificates_path(directory, policy, replay, replays, options["certificates"])

    working = [policy for policy in policies if policy.name not in broken]
    with contextlib.closing(RunProgress(len(working) * len(replays))) as progress:
        runs, failed, error = collected(serving.serve_all(working, replays, server, certificates, progress))
    unserved = [FailedRun(name, each.rate_per_s, why) for each in replays for name, why in broken.items()]
    measured_first = options["calibration"] is None and options["rho"] is None
    study = ServingStudy(
        runs=tuple(runs),
        failed=(*unserved, *failed),
        replays=tuple(replays),
        server=server,
        num_planned=len(policies) * len(replays),
        options=options,
        setup=setup,
        notices=tuple(notices),
        directory=directory,
        beside=("calibration.json",) if directory is not None and measured_first else (),
        error=error,
    )
    return ended(study, directory is not None, options["as_json"])
