"""Options of the commands on a computed clock: model, GPUs and cost, and the requests."""

from __future__ import annotations

from typing import Annotated

from aptsched.cli.base import typer

Model = Annotated[
    str, typer.Option(metavar="M", help="As `aptsched list` shows, a config.json, or a directory with one.")
]
Gpu = Annotated[str, typer.Option(metavar="G", help="As `aptsched list` shows, or a .toml file (docs/formats.md).")]
NumGpus = Annotated[int, typer.Option(metavar="N", help="GPUs, tensor parallel.")]
WeightBytes = Annotated[
    float, typer.Option(metavar="B", help="Bytes of each number of the weights: 4, 2, 1 (fp8), 0.5 (int4).")
]
KvBytes = Annotated[float, typer.Option(metavar="B", help="The same of K and V.")]
Rates = Annotated[
    list[str] | None,
    typer.Option(metavar="R ...", help="Arrivals a second; the gaps of a trace are drawn out (default: its own)."),
]
NumRequests = Annotated[
    int | None,
    typer.Option(
        metavar="N", help="Requests: of a trace the first, of lengths alone drawn (default 1000, or all of a file)."
    ),
]
Duration = Annotated[
    float | None, typer.Option(metavar="S", help="All requests of so many seconds, of a trace those that it has.")
]
Warmup = Annotated[float, typer.Option(metavar="S", help="Requests that arrive earlier are served, and not counted.")]
NumBlocks = Annotated[
    int | None, typer.Option(metavar="N", help="Blocks of cache (default: what the model leaves on the GPUs).")
]
SwapSpace = Annotated[
    str | None,
    typer.Option(
        metavar="SIZE",
        help="Host memory for requests that are swapped out, such as 64GiB; 0 is none (default: four pools).",
    ),
]
Swap = Annotated[
    str,
    typer.Option(
        metavar="W", help="What swaps take: bytes alone; blocks, a copy of each, as vLLM 0.3; grouped, as FastSwitch."
    ),
]
Costs = Annotated[
    list[str] | None,
    typer.Option(metavar="C ...", help="As listed above, one study each (default: fits, if there are any)."),
]
Rho = Annotated[
    float | None, typer.Option(metavar="S", help="Seconds to rebuild K and V of a block, as policies believe.")
]
ExecutedRho = Annotated[
    float | None, typer.Option(metavar="S", help="The same, as it takes, and is done in every iteration.")
]
Jobs = Annotated[int | None, typer.Option(metavar="N", help="Processes (default: one for each CPU).")]
