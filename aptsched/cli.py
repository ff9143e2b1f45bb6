"""The commands. The only module that looks into every room; what is heavy is imported where it is used."""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from aptsched import interrupts
from aptsched.errors import InputError

try:
    import typer
except ModuleNotFoundError:
    sys.exit("error: the commands need typer; pip install 'aptsched[report]' brings it")

if TYPE_CHECKING:
    from solvers.backlog import Source
    from solvers.gap import Instance, Record
    from solvers.methods import Method

Number = TypeVar("Number", int, float)

NO_ANSWER = 1  # infeasible, or answers that contradict each other
BAD_INPUT = 2
SEVERAL = ("--num-requests", "--load", "--methods")  # options of `gap` that take several values
SIZES = ["50", "200"]
LOADS = ["0.25"]
METHODS = ["greedy", "core", "cpsat", "mathopt", "pulp", "milp"]
PROCESSES = ("pulp", "pulp-cbc")  # a process of its own, which would inherit that Ctrl-C is held back
NOTICE = "Ctrl-C: ends after the solve that runs and keeps what is done; once more ends at once and keeps nothing"

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="""Which requests go into the next batch, and with which form of cache?

    \b
    How far is each method's batch from the optimum?
        aptsched gap --workload sharegpt --num-requests 50 200 --out study
    Make one instance, and solve it:
        aptsched snapshot --workload sharegpt --out queue.json
        aptsched solve queue.json --method core

    `aptsched COMMAND --help` says more. Bad input ends with exit code 2 and one line on what is accepted.
    """,
)

TraceFile = Annotated[
    str | None,
    typer.Option("--trace", metavar="FILE", help="CSV or JSONL: ours, Azure, BurstGPT, Mooncake, vLLM timed_trace."),
]
Workload = Annotated[
    str | None, typer.Option(metavar="NAME", help="Built in: sharegpt, humaneval, longbench, azure-code.")
]
Seed = Annotated[int, typer.Option(metavar="N", help="Same seed, same instances.")]
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
    typer.Option(metavar="C", help="Their coefficient of variation (default 1, which is Poisson; azure-code 13.2)."),
]


def _print_version(asked: bool) -> None:
    if asked:
        from importlib import metadata

        try:
            print(f"aptsched {metadata.version('aptsched')}")
        except metadata.PackageNotFoundError:
            print("aptsched, not installed")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


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
      aptsched gap --trace azure.csv --num-requests 50 200 800 --load 0.1 0.5 --out study
      aptsched gap --workload longbench --methods greedy core cpsat --max-tokens 8192
      aptsched gap --workload sharegpt --json | jq .summary

    \b
    Methods:
      greedy, greedy-nofill   with a guarantee
      core                    exact, for every iteration
      cpsat, milp, mathopt-scip (or mathopt), mathopt-highs, pulp-cbc (or pulp),
      pulp-highs              exact, general solvers
      lp                      the bound of the linear relaxation, and its solution
                              rounded down
      algorithm1              Apt-Serve's as printed; its answers may not fit

    Several values are given as `--load 0.1 0.5`, `--load 0.1,0.5` or `--load 0.1 --load 0.5`. Ctrl-C keeps the
    instances that are done: table and files are written, and the exit code is 130. It is 1 if methods contradict each
    other, which none should.
    """  # noqa: D301  # typer keeps the line breaks of a paragraph that begins with a backspace
    options = dict(locals())
    with interrupts.deferred(NOTICE) as interrupted:
        from solvers import backlog
        from solvers.methods import find

        source = _source(trace, workload, seed, rate, cv, block_size, rho, hidden_ratio, max_tokens, max_seqs)
        chosen = list({method.name: method for method in map(find, _split("methods", methods))}.values())
        cut = backlog.instances(
            source, _numbers("num_requests", num_requests, int), _numbers("load", load, float), instances
        )
        code = _study(list(cut), chosen, _seconds(time_limit), out, as_json, options, interrupted)
    raise typer.Exit(code)


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
    hold = contextlib.nullcontext() if method in PROCESSES else interrupts.deferred("interrupted", presses=1)
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
      aptsched snapshot --workload sharegpt --num-requests 50 --load 0.25 --out queue.json
      aptsched snapshot --trace azure.csv --max-seqs 64 --out queue.json --mps queue.mps
    """  # noqa: D301
    from aptsched import instance
    from solvers import backlog

    source = _source(trace, workload, seed, rate, cv, block_size, rho, hidden_ratio, max_tokens, max_seqs)
    _check_apart(out, mps)
    problem = next(backlog.instances(source, [num_requests], [load], 1)).problem
    instance.save(problem, out)
    if mps is not None:
        instance.write_mps(problem, mps)
    print(f"{out}: {problem.num_requests} requests, {problem.capacity} blocks, sha256 {instance.digest(problem)}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command; bad input ends with one line on stderr and exit code 2."""
    sys.stdout = sys.stdout or Path(os.devnull).open("w")  # noqa: SIM115  # None where it was closed
    sys.stderr = sys.stderr or Path(os.devnull).open("w")  # noqa: SIM115
    try:
        try:
            app(args=spread(sys.argv[1:] if arguments is None else arguments), prog_name="aptsched")
        finally:
            sys.stdout.flush()
    except InputError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(BAD_INPUT)
    except OSError as error:
        if not isinstance(error, BrokenPipeError):
            print(f"error: stdout: cannot be written ({error.strerror})", file=sys.stderr)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # else Python complains once more at its end
        sys.exit(NO_ANSWER)


def spread(arguments: Sequence[str]) -> list[str]:
    """`--load 0.1 0.5` as `--load 0.1 --load 0.5`, which is all that typer reads; for the command `gap`."""
    if list(arguments[:1]) != ["gap"]:
        return list(arguments)
    result: list[str] = []
    option, given = "", False
    for argument in arguments:
        if argument.startswith("--"):
            name, given = argument.partition("=")[0], "=" in argument
            option = name if name in SEVERAL else ""
            result.append(argument)
        else:
            result += [option, argument] if option and given else [argument]
            given = True
    return result


def _solve(file: str, method: str, time_limit: float | None, as_json: bool, mps: str | None) -> int:
    from aptsched import instance
    from solvers import gap, study
    from solvers.describe import describe
    from solvers.methods import find

    _check_apart(file, mps)
    chosen = find(method)
    limit_s = None if time_limit is None else _seconds(time_limit)
    problem = instance.load(file)
    if mps is not None:
        instance.write_mps(problem, mps)
    gap.warm_up([chosen], problem, limit_s)
    record = next(gap.run([gap.Instance(file, None, problem)], [chosen], limit_s))[0]
    print(json.dumps(study.as_dict(record), allow_nan=False) if as_json else describe(problem, record))
    return NO_ANSWER if record.status in ("infeasible", gap.EXCEEDS) else 0


def _study(
    instances: list[Instance],
    methods: list[Method],
    time_limit_s: float,
    out: str | None,
    as_json: bool,
    options: dict[str, Any],
    interrupted: Callable[[], bool],
) -> int:
    from aptsched.report import table
    from solvers import gap, study
    from solvers.summary import summarise

    if out is not None:
        study.prepare(out)
    gap.warm_up(methods, instances[0].problem, time_limit_s)
    results: list[tuple[Record, ...]] = []
    try:
        _collect(results, instances, methods, time_limit_s, interrupted)
    finally:  # whatever ends it, what is done is kept
        records = [record for of_instance in results for record in of_instance]
        document = study.document(instances[: len(results)], results, options, len(instances))
        if out is not None and records:
            study.write(Path(out), document, records)
    if as_json:
        print(study.as_json(document), end="")
    elif records:
        summaries = summarise(records)
        table.show(study.COLUMNS, study.sections(summaries), study.notes(summaries), sys.stdout)
    for contradiction in document["contradictions"]:
        print(f"warning: {contradiction}", file=sys.stderr)
    if not document["complete"]:
        print(f"interrupted: {len(results)} of {len(instances)} instances were done", file=sys.stderr)
        return interrupts.EXIT_CODE
    return NO_ANSWER if document["contradictions"] else 0


def _collect(
    results: list[tuple[Record, ...]],
    instances: list[Instance],
    methods: list[Method],
    time_limit_s: float,
    interrupted: Callable[[], bool],
) -> None:
    """Append the records of each instance that is done, until Ctrl-C."""
    from aptsched.report.progress import progress
    from solvers import gap

    with progress(len(instances) * len(methods)) as begin, contextlib.suppress(KeyboardInterrupt):

        def proceed(instance: Instance, method: Method) -> bool:
            begin(f"{instance.id}, {method.name}")
            return not interrupted()

        for records in gap.run(instances, methods, time_limit_s, proceed):
            results.append(records)


def _source(
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
) -> Source:
    from solvers.backlog import Source

    return Source(
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


def _split(field: str, given: Sequence[str]) -> list[str]:
    parts = [part.strip() for text in given for part in text.split(",") if part.strip()]
    if not parts:
        raise InputError(f"{field}: nothing is given; at least one is needed")
    return parts


def _numbers(field: str, given: Sequence[str], kind: type[Number]) -> list[Number]:
    numbers = []
    for text in _split(field, given):
        try:
            numbers.append(kind(text))
        except ValueError as error:
            accepted = "whole numbers are" if kind is int else "numbers are"
            raise InputError(f"{field}: {text!r} is not accepted; {accepted}") from error
    return list(dict.fromkeys(numbers))


def _check_apart(path: str, mps: str | None) -> None:
    if mps is not None and os.path.realpath(path) == os.path.realpath(mps):
        raise InputError(f"mps: {mps!r} is the instance itself; another file is accepted")


def _seconds(time_limit: float) -> float:
    if not 0 < time_limit < math.inf:
        raise InputError(f"time_limit: {time_limit} is not accepted; a finite number of seconds above 0 is")
    return time_limit
