"""`aptsched verify`: whether results hold."""

from __future__ import annotations

import json
import sys
from typing import Annotated

from aptsched.cli.base import NO_ANSWER, app, typer
from aptsched.support import interrupts


@app.command()
def verify(
    path: Annotated[str, typer.Argument(metavar="DIR|FILE", help="Results; docs/formats.md has the schemas.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Check certificates in exact arithmetic, and what results say.

    Reads what `aptsched gap`, `run` and `simulate` wrote, logs of decisions and instances, in a file with those that it
    names or anywhere in a directory. A certificate holds if its problem has the digest, its selection is feasible, and
    objective, bound and gap follow from selection and multipliers; nothing of the methods that found them is used.
    Results hold if all that they say follows from their records, requests and logs, and no file that belongs to them
    is missing, broken or changed. What nothing can show is listed as said.

    \b
    Examples:
      aptsched verify study
      aptsched verify study/results.json --json | jq .files[0].failures

    The exit code is 1 if anything does not hold. An optimum that was found by search has no certificate of it: it is
    counted as said by its method. Files that claim nothing (plots, text) are listed as skipped.
    """  # noqa: D301
    with interrupts.deferred("interrupted"):
        code = _verify(path, as_json)
    raise typer.Exit(code)


def _verify(path: str, as_json: bool) -> int:
    from aptsched.report.progress import progress
    from aptsched.support import text_lines
    from proofs import search, verification

    sources, skipped = search.find_results(path)
    reports = []
    with progress(sum(source.num_verdicts + 1 for source in sources), "entries") as begin:
        for source in sources:
            reports.append(verification.report(source, begin))
    if as_json:
        print(json.dumps(verification.document(reports, skipped), allow_nan=False))
    else:
        print("\n".join(verification.report_text(reports, skipped, text_lines.columns(sys.stdout))))
    return NO_ANSWER if any(report.failures for report in reports) else 0
