"""`aptsched serve`: a model behind OpenAI's interface, scheduled by a policy."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import Annotated

from aptsched.cli.base import app, typer
from aptsched.cli.instance_options import ForeignCalibration
from aptsched.cli.model_options import (
    CacheMem,
    Device,
    Dtype,
    ExpandKvHeads,
    HiddenAttention,
    MaxSeqs,
    MaxTokens,
    ModelName,
    NumBlocks,
    SwapSpace,
    Threads,
    measure,
    require_torch,
)
from aptsched.cli.policies import PolicyCommand, answers
from aptsched.cli.run import CalibrationFile, Overlap, Rho
from aptsched.cli.run_progress import say_now
from aptsched.cli.study import options_of
from aptsched.cli.study_options import Policies, Slo, SloTpot, SloTtft
from aptsched.support import interrupts
from aptsched.support.errors import InputError

PACKAGES = ("fastapi", "uvicorn", "prometheus_client")


@app.command(cls=PolicyCommand)
def serve(
    context: typer.Context,
    model: ModelName = "smollm2",
    policy: Policies = ["aptserve"],  # noqa: B006  # typer reads it
    host: Annotated[str, typer.Option(metavar="H", help="Where to listen; 0.0.0.0 is everywhere.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="N", help="0 takes one that is free.")] = 8000,
    served_model_name: Annotated[
        str | None, typer.Option(metavar="NAME", help="What clients call the model (default: its own name).")
    ] = None,
    api_key: Annotated[
        str | None, typer.Option(metavar="KEY", envvar="APTSCHED_API_KEY", help="What clients have to send.")
    ] = None,
    max_requests: Annotated[
        int, typer.Option(metavar="N", help="Requests in the server at once; more are told to come again.")
    ] = 256,
    drain: Annotated[float, typer.Option(metavar="S", help="Time for requests to end in, after SIGTERM.")] = 30.0,
    max_iteration: Annotated[
        float | None, typer.Option(metavar="S", help="Predicted time that an iteration may take.")
    ] = None,
    slo: Slo = None,
    slo_ttft: SloTtft = None,
    slo_tpot: SloTpot = None,
    cache_mem: CacheMem = None,
    num_blocks: NumBlocks = None,
    swap_space: SwapSpace = None,
    max_tokens: MaxTokens = 2048,
    max_seqs: MaxSeqs = 256,
    dtype: Dtype = "fp32",
    device: Device = "cpu",
    threads: Threads = None,
    expand_kv_heads: ExpandKvHeads = False,
    calibration: CalibrationFile = None,
    foreign_calibration: ForeignCalibration = False,
    hidden_attention: HiddenAttention = "absorbed",
    rho: Rho = None,
    overlap: Overlap = False,
    check: Annotated[bool, typer.Option("--check", help="Load and check everything, and serve nothing.")] = False,
) -> None:
    """Serve a model by OpenAI's interface, scheduled by a policy.

    Offers /v1/completions, /v1/chat/completions and /v1/models, whole and as streams, /health, /metrics for Prometheus,
    and at / a page that shows what requests do. Of several policies the first decides, and the page can switch to the
    others. Clients say objectives, priority and tenant by headers: x-slo-ttft-ms, x-slo-tpot-ms, x-priority, x-tenant.

    \b
    Examples:
      aptsched serve --policy aptserve --port 8000
      aptsched serve --policy bid-price,sarathi --slo chat --max-requests 64
      aptsched serve --model path/to/opt --host 0.0.0.0 --api-key KEY

    SIGTERM or Ctrl-C refuses new requests and lets those that are here end; after --drain seconds, or by a second
    signal, the rest are broken off, and the exit code is 143 or 130. A policy that fails ends the server with code 2.
    """  # noqa: D301
    require_torch()
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise InputError(f"serve: it needs {', '.join(missing)}; pip install 'aptsched[serve]' brings what it needs")
    try:
        raise typer.Exit(_serve(context, check))
    except KeyboardInterrupt:
        print("interrupted: nothing was served yet", file=sys.stderr)
        raise typer.Exit(interrupts.EXIT_CODE) from None


def _serve(context: typer.Context, is_check: bool) -> int:
    from aptsched.report.notices import tell
    from engine.server.serve_options import ServeOptions

    options = options_of(context, ServeOptions, select=answers())
    from engine.server.launch import prepared  # and torch

    ready = prepared(options, measure)
    tell(ready.notices, sys.stderr)
    policies = ", ".join(policy.name for policy in options.policies)
    said = f"{ready.name} at {ready.url}, scheduled by {policies}"
    if is_check:
        ready.listening.close()
        print(f"would serve {said}")
        return 0
    return ready.run(lambda: say_now(f"serving {said}"))
