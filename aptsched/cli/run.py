"""`aptsched run`: policies on a real model, one after the other on the same requests."""

from __future__ import annotations

import sys
from typing import Annotated

from aptsched.cli.base import app, typer
from aptsched.cli.instance_options import (
    Certificates,
    Cv,
    ForeignCalibration,
    MaxOutputTokens,
    MaxPromptTokens,
    Seed,
    TraceFile,
    Workload,
)
from aptsched.cli.instance_options import certificates as kind_of_certificates
from aptsched.cli.model_options import (
    CacheMem,
    Device,
    Dtype,
    ExpandKvHeads,
    HiddenAttention,
    MaxSeqs,
    MaxTokens,
    ModelName,
    NumBlocks,
    SwapSpace,
    Threads,
    measure,
    require_torch,
)
from aptsched.cli.policies import PolicyCommand, answers
from aptsched.cli.run_progress import watching
from aptsched.cli.study import ended, options_of
from aptsched.cli.study_options import AsJson, Directory, Policies, Slo, SloTpot, SloTtft
from aptsched.support import interrupts

Rates = Annotated[
    list[str] | None,
    typer.Option(
        metavar="R ...",
        help="Arrivals a second; the gaps of a trace are drawn out (default: its own, 3 without any).",
    ),
]
NumRequests = Annotated[
    int | None,
    typer.Option(metavar="N", help="Requests: of a trace the first, of lengths alone drawn (default 100)."),
]
CalibrationFile = Annotated[
    str | None, typer.Option(metavar="FILE", help="What `aptsched calibrate` wrote (default: measured first).")
]
Rho = Annotated[
    float | None,
    typer.Option(metavar="S", help="Seconds to rebuild K and V of a block, in place of what is measured."),
]
Overlap = Annotated[bool, typer.Option("--overlap", help="Decide the next iteration while one runs, as on a GPU.")]


@app.command(cls=PolicyCommand)
def run(
    context: typer.Context,
    model: ModelName = "smollm2",
    policy: Policies = ["fcfs,aptserve"],  # noqa: B006  # typer reads it
    trace: TraceFile = None,
    workload: Workload = None,
    rate: Rates = None,
    cv: Cv = None,
    num_requests: NumRequests = None,
    slo: Slo = None,
    slo_ttft: SloTtft = None,
    slo_tpot: SloTpot = None,
    max_prompt_tokens: MaxPromptTokens = None,
    max_output_tokens: MaxOutputTokens = None,
    cache_mem: CacheMem = None,
    num_blocks: NumBlocks = None,
    swap_space: SwapSpace = None,
    max_tokens: MaxTokens = 2048,
    max_seqs: MaxSeqs = 256,
    dtype: Dtype = "fp32",
    device: Device = "cpu",
    threads: Threads = None,
    expand_kv_heads: ExpandKvHeads = False,
    calibration: CalibrationFile = None,
    foreign_calibration: ForeignCalibration = False,
    hidden_attention: HiddenAttention = "absorbed",
    rho: Rho = None,
    overlap: Overlap = False,
    seed: Seed = 0,
    out: Directory = None,
    certificates: Certificates = None,
    as_json: AsJson = False,
) -> None:
    """Serve the same requests with each policy on a real model.

    Replays arrivals in real time, one policy after the other, and prints what each comes to: the share of requests
    with every token by its deadline, TTFT and TBT (median, p90, p99), goodput, other measures of the same requests,
    preemptions, swaps and promotions, memory in each form of cache, the certified gap of each decision, the time that
    scheduling takes. With several rates it also prints the highest one at which 60%, 90% and 99% of the requests attain
    and the run is stable.

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
    kind = kind_of_certificates(certificates, out)
    require_torch()
    try:
        from engine.study.run_options import RunOptions

        options = options_of(context, RunOptions, certificates=kind, select=answers())
        from engine.study.live import serve_live  # and torch

        study = serve_live(options, measure, watching, out, as_json)
    except KeyboardInterrupt:
        print("interrupted: nothing was served yet", file=sys.stderr)
        raise typer.Exit(interrupts.EXIT_CODE) from None
    raise typer.Exit(ended(study, out is not None, as_json))
