"""`aptsched verify`: whether certificates hold."""

from __future__ import annotations

import json
from typing import Annotated

from aptsched import interrupts
from aptsched.cli.base import NO_ANSWER, app, typer


@app.command()
def verify(
    path: Annotated[str, typer.Argument(metavar="DIR|FILE", help="Results; docs/formats.md has the schemas.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Check every certificate of results, in exact arithmetic.

    Reads what `aptsched gap` wrote, and logs of decisions (JSON Lines), in a file or anywhere in a directory. A record
    holds if its problem has the digest, its selection is feasible, and objective, bound and gap follow from selection
    and multipliers. Nothing of the methods that found them is used.

    \b
    Examples:
      aptsched verify study
      aptsched verify study/results.json --json | jq .files[0].failures

    The exit code is 1 if a record does not hold. An optimum that was found by search has no certificate of it: it is
    counted as said by its method.
    """  # noqa: D301
    with interrupts.deferred("interrupted", presses=1):
        code = _verify(path, as_json)
    raise typer.Exit(code)


def _verify(path: str, as_json: bool) -> int:
    from aptsched.report.progress import progress
    from proofs import verification

    sources, skipped = verification.find(path)
    reports = []
    with progress(sum(source.num_verdicts + 1 for source in sources), "entries", each=False) as begin:
        for source in sources:
            reports.append(verification.report(source, begin))
    if as_json:
        print(json.dumps(verification.document(reports, skipped), allow_nan=False))
    else:
        print("\n".join(verification.describe(reports, skipped)))
    return NO_ANSWER if any(report.failures for report in reports) else 0
