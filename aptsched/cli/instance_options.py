"""Options that several commands have, and how their values are read."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated

from aptsched.cli.base import typer
from aptsched.support.errors import InputError
from aptsched.support.shown import shown

if TYPE_CHECKING:
    from solvers.study.backlog import SnapshotSource

TraceFile = Annotated[
    str | None,
    typer.Option(
        "--trace",
        metavar="FILE",
        help="CSV or JSONL: ours, Azure, BurstGPT, ServeGen, Mooncake, Bailian, vLLM timed_trace.",
    ),
]
Workload = Annotated[
    str | None,
    typer.Option(
        metavar="NAME", help="Built in: sharegpt, humaneval, longbench, azure-code, or sharegpt:0.7,longbench:0.3."
    ),
]
Seed = Annotated[int, typer.Option(metavar="N", help="Same seed, same requests.")]
ForeignCalibration = Annotated[
    bool,
    typer.Option("--foreign-calibration", help="Take a calibration of another model, dtype or device all the same."),
]
MaxTokens = Annotated[int | None, typer.Option(metavar="T", help="Token budget of the iteration.")]
MaxSeqs = Annotated[int | None, typer.Option(metavar="B", help="Most requests in the batch.")]
BlockSize = Annotated[int, typer.Option(metavar="N", help="Tokens in a cache block.")]
Rho = Annotated[
    float | None,
    typer.Option(metavar="S", help="Seconds to rebuild K and V of a block (default 17e-6 times the block size)."),
]
HiddenRatio = Annotated[str, typer.Option(metavar="R", help="Bytes of hidden cache over KV cache, such as 1/2.")]
Rate = Annotated[
    float | None,
    typer.Option(
        metavar="R",
        help="Arrivals a second, where the trace has none (default 3; humaneval 6, longbench 1.5, azure-code 2.57).",
    ),
]
Cv = Annotated[
    float | None,
    typer.Option(
        metavar="C", help="Coefficient of variation of the gaps between arrivals (default 1: Poisson; azure-code 13.2)."
    ),
]
Jitter = Annotated[
    float | None, typer.Option(metavar="J", help="Share by which each length is moved at most, as the seed says.")
]
MaxPromptTokens = Annotated[int | None, typer.Option(metavar="N", help="Clip longer prompts.")]
MaxOutputTokens = Annotated[
    int | None,
    typer.Option(metavar="N", help="Clip longer outputs; the cap that policies know of (default: the longest)."),
]

Certificates = Annotated[
    str | None,
    typer.Option(metavar="KIND", help="Logs of decisions in --out: plain, gzip (a tenth), none (default plain)."),
]


def source(
    trace: str | None,
    workload: str | None,
    seed: int,
    rate: float | None,
    cv: float | None,
    block_size: int,
    rho: float | None,
    hidden_ratio: str,
    max_tokens: int | None,
    max_seqs: int | None,
) -> SnapshotSource:
    """The source of the snapshots, from the options."""
    from solvers.study.backlog import SnapshotSource

    return SnapshotSource(
        trace=trace,
        workload=workload,
        rate_per_s=rate,
        cv=cv,
        seed=seed,
        options={
            "block_size": block_size,
            "rho_s_per_block": rho,
            "hidden_ratio": hidden_ratio,
            "max_tokens": max_tokens,
            "max_seqs": max_seqs,
        },
    )


def certificates(kind: str | None, out: str | None) -> str:
    """The kind of the logs of decisions: as given, else "plain", which any tool reads; "none" without an `out`."""
    from aptsched.problem.certificate_log import check_kind

    if kind is not None:
        check_kind(kind)
    if kind not in (None, "none") and out is None:
        raise InputError(f"certificates: {kind} is not accepted without --out DIR, where they go; none is")
    return "none" if out is None else kind or "plain"


def check_apart(path: str, mps: str | None) -> None:
    """Raise InputError if the instance and the MPS file are the same file."""
    try:
        same = mps is not None and os.path.realpath(path) == os.path.realpath(mps)
    except ValueError:  # a name that no file system accepts; reading or writing will refuse it
        same = False
    if same:
        raise InputError(f"mps: {shown(mps)} is the instance itself; another file is accepted")


def seconds(time_limit: float) -> float:
    """A time limit, checked to be a number of seconds above 0."""
    from aptsched.support import checks

    return checks.seconds("time_limit", time_limit, above_0=True)
