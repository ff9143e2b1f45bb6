"""Options that `aptsched run` and `aptsched simulate` share."""

from __future__ import annotations

from typing import Annotated

from aptsched.cli.base import typer

Policies = Annotated[list[str], typer.Option(metavar="P ...", help="As listed below.")]
SloTtft = Annotated[float, typer.Option(metavar="S", help="Objective of the time to first token, s.")]
SloTpot = Annotated[float, typer.Option(metavar="S", help="Objective of the time per output token after the first, s.")]
Directory = Annotated[
    str | None, typer.Option(metavar="DIR", help="Write results.json, requests.csv, certificates and plots.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print results.json instead of the tables.")]
