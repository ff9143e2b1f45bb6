"""`aptsched bench`: any OpenAI server, measured as `aptsched run` measures policies."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import Annotated

from aptsched.cli.base import app, typer
from aptsched.cli.instance_options import Cv, MaxOutputTokens, MaxPromptTokens, Seed, TraceFile, Workload
from aptsched.cli.run import NumRequests, Rates
from aptsched.cli.run_progress import watching
from aptsched.cli.study import ended, options_of
from aptsched.cli.study_options import AsJson, Directory, Slo, SloTpot, SloTtft
from aptsched.support import interrupts
from aptsched.support.errors import InputError


@app.command()
def bench(
    context: typer.Context,
    url: Annotated[str, typer.Argument(metavar="URL", help="The server, as http://HOST:PORT.")],
    model: Annotated[
        str | None, typer.Option(metavar="NAME", help="By the server's name (default: the first that it lists).")
    ] = None,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="What tables call it (default: the model).")] = None,
    trace: TraceFile = None,
    workload: Workload = None,
    rate: Rates = None,
    cv: Cv = None,
    num_requests: NumRequests = None,
    slo: Slo = None,
    slo_ttft: SloTtft = None,
    slo_tpot: SloTpot = None,
    max_prompt_tokens: MaxPromptTokens = None,
    max_output_tokens: MaxOutputTokens = None,
    vocab_size: Annotated[
        int, typer.Option(metavar="N", help="Prompts are random token ids below that, which the model has to know.")
    ] = 1000,
    timeout: Annotated[
        float, typer.Option(metavar="S", help="A request of which nothing comes for so long is unfinished.")
    ] = 600.0,
    api_key: Annotated[
        str | None, typer.Option(metavar="KEY", envvar="APTSCHED_API_KEY", help="What the server asks for.")
    ] = None,
    seed: Seed = 0,
    out: Directory = None,
    as_json: AsJson = False,
) -> None:
    """Measure a server that speaks OpenAI's interface: vLLM, SGLang, `aptsched serve`.

    Sends the requests of a trace or workload to /v1/completions when they are due, however many are under way, reads
    their streams, and prints the tables of `aptsched run`, by the client's clock: deadlines of tokens, TTFT and TBT,
    stalls, goodput. What the server refuses counts as rejected. Objectives, priority and tenant go along as headers.

    \b
    Examples:
      aptsched bench http://127.0.0.1:8000 --workload sharegpt --rate 2
      aptsched bench http://127.0.0.1:8000 --trace a.csv --rate 1 2 --out study

    Prompts are random tokens; outputs have the lengths of the trace, for servers that know ignore_eos. Ctrl-C and
    SIGTERM keep what is done.
    """  # noqa: D301
    if find_spec("httpx2") is None:
        raise InputError("bench: it needs httpx2; pip install 'aptsched[serve]' brings it")
    try:
        from engine.remote.bench import bench as measured
        from engine.remote.bench_options import BenchOptions

        study = measured(options_of(context, BenchOptions), watching, out, as_json)
    except KeyboardInterrupt:
        print("interrupted: nothing was served yet", file=sys.stderr)
        raise typer.Exit(interrupts.EXIT_CODE) from None
    raise typer.Exit(ended(study, out is not None, as_json))
