"""`aptsched gap`: how far each method is from the optimum."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

from aptsched.cli.base import NO_ANSWER, app, typer
from aptsched.cli.instance_options import (
    BlockSize,
    Cv,
    HiddenRatio,
    MaxSeqs,
    MaxTokens,
    Rate,
    Rho,
    Seed,
    TraceFile,
    Workload,
)
from aptsched.cli.study import options_of
from aptsched.cli.unwritten import postponed, raise_first
from aptsched.support import interrupts
from aptsched.support.errors import InputError

if TYPE_CHECKING:
    from solvers.study.gap import GapStudy

SIZES = ["50", "200"]
LOADS = ["0.25"]
METHODS = ["greedy", "core", "cpsat", "mathopt", "pulp", "milp"]
NOTICE = "Ctrl-C: ends after the solve that runs and keeps what is done; once more ends at once and keeps nothing"


@app.command()
def gap(
    context: typer.Context,
    trace: TraceFile = None,
    workload: Workload = None,
    num_requests: Annotated[list[str], typer.Option(metavar="N ...", help="Requests in the queue.")] = SIZES,
    instances: Annotated[int, typer.Option(metavar="K", help="Snapshots for each size and load.")] = 5,
    load: Annotated[list[str], typer.Option(metavar="L ...", help="Free blocks over what the queue needs.")] = LOADS,
    methods: Annotated[list[str], typer.Option(metavar="NAME ...", help="As listed above.")] = METHODS,
    time_limit: Annotated[float, typer.Option(metavar="S", help="Seconds for each solve.")] = 10.0,
    seed: Seed = 0,
    out: Annotated[str | None, typer.Option(metavar="DIR", help="Write results.json, results.csv and plots.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document instead of the table.")] = False,
    max_tokens: MaxTokens = None,
    max_seqs: MaxSeqs = None,
    block_size: BlockSize = 16,
    rho: Rho = None,
    hidden_ratio: HiddenRatio = "1/2",
    rate: Rate = None,
    cv: Cv = None,
) -> None:
    """Show how far each method's batch is from the optimum.

    Cuts snapshots of a backlogged queue out of a trace, solves each with every method, and prints one table: what is
    guaranteed, what was proved, gap to the optimum, certified gap, time.

    \b
    Examples:
      aptsched gap --workload sharegpt
      aptsched gap --trace azure.csv --num-requests 50 200 --load 0.1 0.5
      aptsched gap --workload longbench --methods greedy core --max-tokens 8192
      aptsched gap --workload sharegpt --out study --json | jq .summary

    \b
    Methods:
      greedy, greedy-nofill   with a guarantee
      core                    exact, for every iteration
      cpsat, milp, mathopt-scip (or mathopt), mathopt-highs, pulp-cbc (or pulp),
      pulp-highs              exact, general solvers
      lp                      the bound of the linear relaxation, and its solution
                              rounded down
      algorithm1              Apt-Serve's as printed; its answers may not fit
      FILE.py:NAME            a function of yours, `solve(problem, time_limit_s)`;
                              its Selection or Solution is checked

    Several values are given as `--load 0.1 0.5`, `--load 0.1,0.5` or `--load 0.1 --load 0.5`. Ctrl-C keeps the
    instances that are done: table and files are written, and the exit code is 130. It is 1 if methods contradict each
    other, which none should. A solve is timed three times, or once where it takes
    more than a second; the fastest counts.
    """  # noqa: D301  # typer keeps the line breaks of a paragraph that begins with a backspace
    with interrupts.deferred(NOTICE) as interrupted:
        from aptsched.report.progress import counted
        from solvers.study.gap import compare
        from solvers.study.gap_options import GapOptions

        with counted("solves", each=True) as progress:
            options = options_of(context, GapOptions, progress=progress)
            study = compare(options, interrupted, out, as_json)
        code = _ended(study, as_json)
    raise typer.Exit(code)


def _ended(study: GapStudy, as_json: bool) -> int:
    """Write and print the study, then what went wrong; return the exit code."""
    from aptsched.report.document import as_json as written

    document, unwritten = study.document, list[InputError]()
    if study.directory is not None and study.results:
        with postponed(unwritten):
            document = study.write(study.directory)
    if as_json:
        print(written(document), end="")
    else:
        study.show(sys.stdout)
    for contradiction in study.contradictions:
        print(f"warning: {contradiction}", file=sys.stderr)
    if study.error is not None:
        raise study.error
    raise_first(unwritten)
    if not study.complete:
        print(f"interrupted: {len(study.results)} of {study.num_planned} instances were done", file=sys.stderr)
        return interrupts.EXIT_CODE
    return NO_ANSWER if study.contradictions else 0
