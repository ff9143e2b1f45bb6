"""`aptsched report`: stored results as one page, and as a trace for Perfetto."""

from __future__ import annotations

import sys
from typing import Annotated

from aptsched.cli.base import app, typer
from aptsched.support import interrupts
from aptsched.support.errors import InputError
from aptsched.support.json_text import compact_json
from aptsched.support.shown import shown

Directories = Annotated[list[str], typer.Argument(metavar="DIR...", help="Directories that --out wrote.")]
Page = Annotated[str, typer.Option(metavar="FILE.html", help="Where the page goes.")]
Trace = Annotated[
    str | None, typer.Option(metavar="FILE.json", help="Write a trace for Perfetto too (ui.perfetto.dev).")
]
Title = Annotated[str, typer.Option(metavar="TEXT", help="The title of the page.")]


@app.command()
def report(
    directories: Directories,
    out: Page = "report.html",
    perfetto: Trace = None,
    title: Title = "Serving policies compared",
) -> None:
    """Make one page of stored results, to look at or to send.

    Reads what `aptsched run`, `simulate` and `capacity` wrote with --out, several directories side by side, and writes
    one HTML file that needs no network: who attains at which rate, first tokens, lateness and stalls, memory by form,
    queue, certified gap and scheduling over time, what requests did when, all tables, and the commands.

    \b
    Examples:
      aptsched simulate --workload sharegpt --rate 0.6 0.9 1.3 --out study
      aptsched report study
      aptsched report study capacity --out comparison.html --title "OPT-13B"
      aptsched report study --perfetto trace.json

    A trace has the phases of at most 100 requests of each run, evenly spread.
    """  # noqa: D301
    with interrupts.deferred("interrupted"):
        _write(directories, out, perfetto, title)


def _write(directories: list[str], out: str, perfetto: str | None, title: str) -> None:
    from aptsched.report.page.html_page import page
    from aptsched.report.page.perfetto import trace
    from aptsched.report.page.stored import as_written, read_stored
    from aptsched.support import files
    from aptsched.support.plural import how_many

    if not title.isprintable():
        raise InputError(f"title: {shown(title)} is not accepted; text on one line is")
    with as_written(directories):
        stored = read_stored(directories)
        if perfetto is not None and not stored.runs:
            raise InputError(
                "perfetto: no runs are in these directories; those of `aptsched run` or `simulate` are accepted"
            )
        made = page(stored, title)
        num_bytes = len(made.encode())
        traced = None if perfetto is None else compact_json(trace(stored.runs))
    if perfetto is not None and traced is not None:
        files.write(perfetto, traced)
    files.write(out, made)
    found = f"{how_many(len(stored.runs), 'run')}, {how_many(len(stored.searches), 'search', 'searches')}"
    print(f"{out}: {num_bytes / 1e6:.1f} MB, {found}")
    if perfetto is not None and traced is not None:
        print(f"{perfetto}: {len(traced) / 1e6:.1f} MB")
    for notice in stored.notices:
        print(notice, file=sys.stderr)
