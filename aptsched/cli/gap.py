"""`aptsched gap`: how far each method is from the optimum."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any

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
    seconds,
    source,
)
from aptsched.cli.unwritten import postponed, raise_first
from aptsched.support import interrupts
from aptsched.support.errors import InputError

if TYPE_CHECKING:
    from solvers.methods import Method
    from solvers.study.method_runs import Instance, Record

SIZES = ["50", "200"]
LOADS = ["0.25"]
METHODS = ["greedy", "core", "cpsat", "mathopt", "pulp", "milp"]
NOTICE = "Ctrl-C: ends after the solve that runs and keeps what is done; once more ends at once and keeps nothing"


@app.command()
def gap(
    trace: TraceFile = None,
    workload: Workload = None,
    num_requests: Annotated[list[str], typer.Option(metavar="N ...", help="Requests in the queue.")] = SIZES,
    instances: Annotated[int, typer.Option(metavar="K", help="Snapshots for each size and load.")] = 5,
    load: Annotated[list[str], typer.Option(metavar="L ...", help="Free blocks over what the queue needs.")] = LOADS,
    methods: Annotated[list[str], typer.Option(metavar="NAME ...", help="As listed above.")] = METHODS,
    time_limit: Annotated[float, typer.Option(metavar="S", help="Seconds for each solve.")] = 10.0,
    seed: Seed = 0,
    out: Annotated[str | None, typer.Option(metavar="DIR", help="Write results.json, results.csv and plots.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print results.json instead of the table.")] = False,
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
    options = dict(locals())
    with interrupts.deferred(NOTICE) as interrupted:
        from aptsched.support.several import numbers, several
        from solvers.methods import find_method
        from solvers.study import backlog

        cuts = source(trace, workload, seed, rate, cv, block_size, rho, hidden_ratio, max_tokens, max_seqs)
        chosen = list({method.name: method for method in map(find_method, several("methods", methods))}.values())
        sizes, loads = numbers("num_requests", num_requests, int), numbers("load", load, float)
        cut = backlog.cut(cuts, sizes, loads, instances)
        code = _study(cut.instances, cut.notices, chosen, seconds(time_limit), out, as_json, options, interrupted)
    raise typer.Exit(code)


def _study(
    instances: Sequence[Instance],
    notices: Sequence[str],
    methods: list[Method],
    time_limit_s: float,
    out: str | None,
    as_json: bool,
    options: dict[str, Any],
    interrupted: Callable[[], bool],
) -> int:
    from aptsched.report import table
    from aptsched.report.document import as_json as written
    from aptsched.report.document import prepare, sealed
    from solvers.study import gap_files, method_runs
    from solvers.study.summary import summarise

    directory = None if out is None else prepare(out, gap_files.FILES)
    method_runs.warm_up(methods, instances[0].problem, time_limit_s)
    results: list[tuple[Record, ...]] = []
    unwritten: list[InputError] = []
    try:
        _collect(results, instances, methods, time_limit_s, interrupted)
    finally:  # whatever ends it, what is done is kept
        records = [record for of_instance in results for record in of_instance]
        document = gap_files.document(instances[: len(results)], results, options, len(instances), notices)
        if directory is not None and records:
            with postponed(unwritten):
                document = gap_files.write(directory, document, records)
    if as_json:
        print(written(sealed(document)), end="")
    elif records:
        summaries = summarise(records)
        table.show(
            gap_files.COLUMNS,
            gap_files.sections(summaries),
            gap_files.notes(summaries, document["notices"]),
            sys.stdout,
        )
    for contradiction in document["contradictions"]:
        print(f"warning: {contradiction}", file=sys.stderr)
    raise_first(unwritten)
    if not document["complete"]:
        print(f"interrupted: {len(results)} of {len(instances)} instances were done", file=sys.stderr)
        return interrupts.EXIT_CODE
    return NO_ANSWER if document["contradictions"] else 0


def _collect(
    results: list[tuple[Record, ...]],
    instances: Sequence[Instance],
    methods: list[Method],
    time_limit_s: float,
    interrupted: Callable[[], bool],
) -> None:
    """Append the records of each instance that is done, until Ctrl-C."""
    from aptsched.report.progress import progress
    from solvers.study import method_runs

    with progress(len(instances) * len(methods), "solves") as begin, contextlib.suppress(KeyboardInterrupt):

        def proceed(instance: Instance, method: Method) -> bool:
            begin(f"{instance.id}, {method.name}")
            return not interrupted()

        for records in method_runs.run(instances, methods, time_limit_s, proceed):
            results.append(records)
