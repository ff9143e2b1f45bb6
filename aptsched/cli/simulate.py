"""`aptsched simulate`: policies on a computed clock, for any model and GPU."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from aptsched.cli.base import app, typer
from aptsched.cli.costs import by_cost, check_each, one_by_one
from aptsched.cli.instance_options import (
    Certificates,
    Cv,
    ForeignCalibration,
    Jitter,
    MaxOutputTokens,
    MaxPromptTokens,
    Seed,
    TraceFile,
    Workload,
)
from aptsched.cli.instance_options import certificates as kind_of_certificates
from aptsched.cli.model_options import HiddenAttention, MaxSeqs, MaxTokens
from aptsched.cli.policies import PolicyCommand, answers
from aptsched.cli.simulator_options import (
    Costs,
    Duration,
    ExecutedRho,
    Gpu,
    Jobs,
    KvBytes,
    Model,
    NumBlocks,
    NumGpus,
    NumRequests,
    Rates,
    Rho,
    Swap,
    SwapSpace,
    Warmup,
    WeightBytes,
)
from aptsched.cli.study import ended, options_of
from aptsched.cli.study_options import (
    AsJson,
    Directory,
    Policies,
    Slo,
    SloTpot,
    SloTtft,
)

if TYPE_CHECKING:
    from engine.study.simulate_options import SimulateOptions


@app.command(cls=PolicyCommand)
def simulate(
    context: typer.Context,
    model: Model = "opt-13b",
    gpu: Gpu = "a100-40gb",
    tp: NumGpus = 1,
    weight_bytes: WeightBytes = 2,
    kv_bytes: KvBytes = 2,
    policy: Policies = ["fcfs,aptserve"],  # noqa: B006  # typer reads it
    trace: TraceFile = None,
    workload: Workload = None,
    rate: Rates = None,
    cv: Cv = None,
    jitter: Jitter = None,
    max_prompt_tokens: MaxPromptTokens = None,
    max_output_tokens: MaxOutputTokens = None,
    num_requests: NumRequests = None,
    duration: Duration = None,
    warmup: Warmup = 0.0,
    slo: Slo = None,
    slo_ttft: SloTtft = None,
    slo_tpot: SloTpot = None,
    max_tokens: MaxTokens = 2048,
    max_seqs: MaxSeqs = 256,
    num_blocks: NumBlocks = None,
    swap_space: SwapSpace = None,
    swap: Swap = "bytes",
    cost: Costs = None,
    foreign_calibration: ForeignCalibration = False,
    hidden_attention: HiddenAttention = "absorbed",
    rho: Rho = None,
    executed_rho: ExecutedRho = None,
    seed: Seed = 0,
    jobs: Jobs = None,
    out: Directory = None,
    certificates: Certificates = None,
    as_json: AsJson = False,
) -> None:
    """Serve the same requests with each policy on modelled GPUs.

    The loop, the block pool and the policies are those of `aptsched run`; an iteration takes what a cost model says, on
    a clock that is computed. Equal seeds give equal results, byte for byte. Prints what `aptsched run` prints, and
    fairness: latencies end to end, Jain's index over the slowdown.

    \b
    Examples:
      aptsched simulate --workload sharegpt --rate 2 3 --policy fcfs,aptserve
      aptsched simulate --model opt-66b --tp 4 --policy aptserve --trace a.csv
      aptsched simulate --model llama-3-8b --gpu l40s --workload azure-code
      aptsched simulate --model Qwen3-8B/config.json --gpu h100 --trace a.csv
      aptsched simulate --policy fastserve,sarathi:chunk_tokens=256 --trace a.csv
      aptsched simulate --gpu mine.toml --cost roofline --workload longbench
      aptsched simulate --gpu h100 --weight-bytes 1 --kv-bytes 1 --trace a.csv
      aptsched simulate --workload sharegpt --rate 2 --cost fits,roofline

    \b
    Costs:
      fits      DistServe's of OPT-13B and OPT-66B, measured on A100-80GB, with
                slower reads on A100-40GB; OPT-30B by roofline
      roofline  from the model's shape and the GPU's data sheet
      FILE      what `aptsched calibrate` measured of this model on your machine
    Of several, `--cost fits,roofline`, each has tables and, in DIR, a folder of
    its own with the files that it has alone.

    \b
    GPU files have a `base`, one of those listed, and what differs from it:
      base = "h100"
      price_per_hour = 2.5
      [efficiency]     # shares of peaks: compute, bandwidth, attention,
      compute = 0.7    # absorbed, pcie, link; all_reduce_s, hidden_reads,
                       # copy_launch_s

    Several values are given as `--rate 1 2`, `--rate 1,2` or `--rate 1 --rate 2`. Ctrl-C and SIGTERM keep what is
    done: tables and files are written, and the exit code is 130 or 143. A policy that fails leaves the runs of the
    others; the exit code is 2.
    """  # noqa: D301
    from engine.study.simulate_options import SimulateOptions

    costs, kind = by_cost(cost, out, as_json), kind_of_certificates(certificates, out)
    options = partial(options_of, context, SimulateOptions, certificates=kind, select=answers())
    check_each(costs, options)
    raise typer.Exit(one_by_one(costs, partial(_served, options, as_json)))


def _served(options: Callable[..., SimulateOptions], as_json: bool, cost: str | None, directory: str | None) -> int:
    """Serve with one cost, write and print; return the exit code."""
    from aptsched.report.progress import counted
    from engine.study.simulate import serve_simulated

    with counted("requests ended") as progress:
        study = serve_simulated(options(cost=cost, progress=progress), directory)
    return ended(study, directory is not None, as_json)
