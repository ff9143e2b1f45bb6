"""`aptsched solve` and `aptsched snapshot`: one instance."""

from __future__ import annotations

import contextlib
import json
import sys
from typing import Annotated

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
    check_apart,
    seconds,
    source,
)
from aptsched.support import interrupts
from aptsched.support.plural import how_many

PROCESSES = ("pulp", "pulp-cbc")  # they start a process, which would inherit the blocked Ctrl-C


@app.command()
def solve(
    file: Annotated[str, typer.Argument(metavar="FILE.json", help="An instance; docs/formats.md has the schema.")],
    method: Annotated[str, typer.Option(metavar="NAME", help="As `aptsched gap --help` lists them.")] = "core",
    time_limit: Annotated[float | None, typer.Option(metavar="S", help="Seconds; the incumbent is kept.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    mps: Annotated[str | None, typer.Option(metavar="FILE", help="Also write the instance as free MPS.")] = None,
) -> None:
    """Solve one instance, and say how good the answer is.

    \b
    Examples:
      aptsched solve queue.json
      aptsched solve queue.json --method cpsat --time-limit 10 --json
      aptsched solve queue.json --mps queue.mps

    The exit code is 1 if the required requests do not fit (the smallest overload is printed), or the answer breaks a
    limit, as Algorithm 1 as printed can.
    """  # noqa: D301
    hold = contextlib.nullcontext() if method in PROCESSES else interrupts.deferred("interrupted")
    try:
        with hold:
            code = _solve(file, method, time_limit, as_json, mps)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        code = interrupts.EXIT_CODE
    raise typer.Exit(code)


@app.command()
def snapshot(
    out: Annotated[str, typer.Option(metavar="FILE.json", help="The instance; docs/formats.md has the schema.")],
    trace: TraceFile = None,
    workload: Workload = None,
    num_requests: Annotated[int, typer.Option(metavar="N", help="Requests in the queue.")] = 50,
    load: Annotated[float, typer.Option(metavar="L", help="Free blocks over what the queue needs.")] = 0.25,
    seed: Seed = 0,
    mps: Annotated[str | None, typer.Option(metavar="FILE", help="Also write it as free MPS.")] = None,
    max_tokens: MaxTokens = None,
    max_seqs: MaxSeqs = None,
    block_size: BlockSize = 16,
    rho: Rho = None,
    hidden_ratio: HiddenRatio = "1/2",
    rate: Rate = None,
    cv: Cv = None,
) -> None:
    """Cut one instance out of a trace.

    It is the first that `aptsched gap` would take.

    \b
    Examples:
      aptsched snapshot --workload sharegpt --load 0.25 --out queue.json
      aptsched snapshot --trace azure.csv --max-seqs 64 --out q.json --mps q.mps
    """  # noqa: D301
    from aptsched.problem import instance
    from aptsched.report import notices
    from aptsched.support.text_lines import filled
    from solvers.study import backlog

    cuts = source(trace, workload, seed, rate, cv, block_size, rho, hidden_ratio, max_tokens, max_seqs)
    check_apart(out, mps)
    cut = backlog.cut(cuts, [num_requests], [load], 1)
    problem = cut.instances[0].problem
    instance.save(problem, out)
    if mps is not None:
        instance.write_mps(problem, mps)
    digest = instance.digest(problem)
    sizes = f"{how_many(problem.num_requests, 'request')}, {how_many(problem.capacity, 'block')}"
    print(filled(f"{out}: {sizes}, sha256 {digest}", sys.stdout))
    notices.tell(cut.notices, sys.stderr)


def _solve(file: str, method: str, time_limit: float | None, as_json: bool, mps: str | None) -> int:
    from aptsched.problem import instance
    from aptsched.support import text_lines
    from solvers.methods import find_method
    from solvers.study import gap_files, method_runs
    from solvers.study.answer_text import answer_text

    check_apart(file, mps)
    chosen = find_method(method)
    limit_s = None if time_limit is None else seconds(time_limit)
    problem = instance.load(file)
    if mps is not None:
        instance.write_mps(problem, mps)
    method_runs.warm_up([chosen], problem, limit_s)
    record = next(method_runs.run([method_runs.Instance(file, None, problem)], [chosen], limit_s, num_calls=1))[0]
    if as_json:
        print(json.dumps(gap_files.as_dict(record), allow_nan=False))
    else:
        print(answer_text(problem, record, text_lines.columns(sys.stdout)))
    return NO_ANSWER if record.status in ("infeasible", method_runs.EXCEEDS) else 0
