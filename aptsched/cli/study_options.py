"""Options that `aptsched run` and `aptsched simulate` share."""

from __future__ import annotations

from typing import Annotated

from aptsched.cli.base import typer

Policies = Annotated[list[str], typer.Option(metavar="P ...", help="As listed below.")]
Slo = Annotated[
    str | None, typer.Option(metavar="NAME", help="Objectives: chat, paper, mlperf-server, mlperf-interactive.")
]
SloTtft = Annotated[
    float | None, typer.Option(metavar="S", help="Objective of the time to first token, s (default: as --slo, or 1).")
]
SloTpot = Annotated[
    float | None,
    typer.Option(metavar="S", help="Objective of the time per output token after the first, s (default: the same)."),
]
Directory = Annotated[
    str | None, typer.Option(metavar="DIR", help="Write results.json, requests.csv, certificates and plots.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of the tables.")]
