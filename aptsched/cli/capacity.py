"""`aptsched capacity`: the highest rate that each policy holds, on a computed clock."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Annotated

from aptsched.cli.base import app, typer
from aptsched.cli.costs import by_cost, check_each, one_by_one
from aptsched.cli.instance_options import (
    Cv,
    ForeignCalibration,
    Jitter,
    MaxOutputTokens,
    MaxPromptTokens,
    Seed,
    TraceFile,
    Workload,
)
from aptsched.cli.model_options import HiddenAttention, MaxSeqs, MaxTokens
from aptsched.cli.policies import PolicyCommand, answers
from aptsched.cli.simulator_options import (
    Costs,
    ExecutedRho,
    Gpu,
    Jobs,
    KvBytes,
    Model,
    NumBlocks,
    NumGpus,
    Rho,
    Swap,
    SwapSpace,
    WeightBytes,
)
from aptsched.cli.study import options_of
from aptsched.cli.study_options import AsJson, Policies
from aptsched.support import interrupts
from aptsched.support.errors import InputError

if TYPE_CHECKING:
    from engine.capacities.capacity_study import CapacityStudy
    from engine.capacities.options import CapacityOptions

Levels = Annotated[list[str], typer.Option("--level", metavar="L ...", help="Shares of requests that have to attain.")]
Slos = Annotated[
    list[str] | None,
    typer.Option("--slo", metavar="O ...", help="A name, as chat, or TTFT/TPOT in seconds (default: of the setting)."),
]
Settings = Annotated[list[str], typer.Option("--setting", metavar="S ...", help="As listed above.")]
Seeds = Annotated[
    int | None, typer.Option(metavar="N", help="Seeds, or parts of a trace with times (default: 5, up to 20).")
]
NoBound = Annotated[bool, typer.Option("--no-bound", help="Do not seek the rate that no policy passes.")]
HalfWidth = Annotated[
    float | None,
    typer.Option(metavar="W", help="Seeds are added until half of each interval is at most that (default 0.04)."),
]
GpusFor = Annotated[
    float | None, typer.Option(metavar="R", help="Say how many replicas serve so many requests a second.")
]
First = Annotated[list[str] | None, typer.Option(metavar="R", help="Where the search begins (default: by the bound).")]
NumRequests = Annotated[int, typer.Option(metavar="N", help="Requests of the setting paper.")]
Duration = Annotated[float, typer.Option(metavar="S", help="Seconds of arrivals in the setting sustained.")]
Warmup = Annotated[float, typer.Option(metavar="S", help="Of these, the first ones, which do not count.")]
ClusterAddress = Annotated[
    str | None, typer.Option(metavar="ADDRESS", help="A Dask scheduler, whose workers do the runs.")
]
Directory = Annotated[
    str | None, typer.Option(metavar="DIR", help="Write capacity.json and a plot, and keep each run's figures there.")
]


@app.command(cls=PolicyCommand)
def capacity(
    context: typer.Context,
    model: Model = "opt-13b",
    gpu: Gpu = "a100-40gb",
    tp: NumGpus = 1,
    weight_bytes: WeightBytes = 2,
    kv_bytes: KvBytes = 2,
    policy: Policies = ["fcfs,aptserve"],  # noqa: B006  # typer reads it
    trace: TraceFile = None,
    workload: Workload = None,
    level: Levels = ["0.99,0.9"],  # noqa: B006
    objectives: Slos = None,
    setting: Settings = ["sustained,paper"],  # noqa: B006
    seeds: Seeds = None,
    no_bound: NoBound = False,
    half_width: HalfWidth = None,
    gpus_for: GpusFor = None,
    rate: First = None,
    cv: Cv = None,
    jitter: Jitter = None,
    max_prompt_tokens: MaxPromptTokens = None,
    max_output_tokens: MaxOutputTokens = None,
    num_requests: NumRequests = 1000,
    duration: Duration = 660.0,
    warmup: Warmup = 60.0,
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
    cluster: ClusterAddress = None,
    out: Directory = None,
    as_json: AsJson = False,
) -> None:
    """Find the highest request rate that each policy holds.

    Runs are those of `aptsched simulate`, at rates that are searched until the one that holds and the one that does not
    are 2% apart, with several seeds, which are the same for all policies. Prints for each policy, setting and level the
    rate, its 95% interval, how many times the first policy's it is, and the rate that no policy passes.

    \b
    Examples:
      aptsched capacity --workload sharegpt --policy fcfs,sarathi,aptserve
      aptsched capacity --workload longbench --level 0.9 --slo chat 2/0.1
      aptsched capacity --trace a.csv --setting sustained --gpus-for 40
      aptsched capacity --workload humaneval --seeds 5 --out found

    \b
    Settings:
      sustained  660 s of arrivals, the first 60 of which do not count, served to
                 their end. A request attains if token i comes within TTFT +
                 (i - 1) TPOT of its arrival; a rate holds if enough attain and
                 the run is stable
      paper      1000 requests, which attain by their TTFT and the P99 of their
                 own TBT, as in Apt-Serve; stable or not

    Costs are those that `aptsched simulate --help` lists; of several each has tables, and a folder of its name in DIR.
    Ctrl-C and SIGTERM keep what is done; with --out the same command goes on from there, with the same result as if it
    had never been ended. The exit code is 130 or 143 then. A policy that fails leaves the others; the exit code is 2.
    """  # noqa: D301
    from engine.capacities.options import CapacityOptions

    costs, options = by_cost(cost, out, as_json), partial(options_of, context, CapacityOptions, select=answers())
    check_each(costs, options)
    raise typer.Exit(one_by_one(costs, partial(_searched, options, as_json)))


def _searched(options: Callable[..., CapacityOptions], as_json: bool, cost: str | None, directory: str | None) -> int:
    """Search with one cost, write and print; return the exit code."""
    from aptsched.report.progress import counted
    from engine.capacities.capacity import search_capacity

    with counted("runs") as progress:
        asked = options(cost=cost, progress=progress)
        study = search_capacity(asked, directory)
    goes_on = "with --out it could go on" if study.directory is None else "the same command goes on from there"
    return _ended(study, as_json, "" if asked.cluster is not None else f": {goes_on}")


def _ended(study: CapacityStudy, as_json: bool, goes_on: str) -> int:
    """Write and print the study, then what went wrong, and how it goes on; return the exit code."""
    from aptsched.report.document import as_json as written

    if study.directory is not None and study.capacities:
        study.write(study.directory)
    if as_json:
        print(written(study.document), end="")
    else:
        study.show(sys.stdout)
    if not study.complete:
        print(f"interrupted{goes_on}", file=sys.stderr)
        return interrupts.EXIT_CODE
    if study.failed:
        raise InputError("; ".join(dict.fromkeys(run.reason for run in study.failed)))
    return 0
