"""What hidden states buy on this machine: policies live, with hidden states absorbed and rebuilt, in turn.

    python -m benchmarks.live [--models opt smollm2] [--rates 2 4] [--runs 3] [--num-requests 50] [--out bench-out]

Two models in fp32, whose hidden states take half of the memory of their K and V: OPT-125M's shape with random weights,
where attention is absorbed as a whole, and SmolLM2's MHA twin, where RoPE leaves half of the rebuilding. The requests
are HumanEval lengths in bursts on a small pool, the same for all policies; each policy is served once at each rate, and
all of that `--runs` times, so that a machine whose speed drifts favours none. A request attains if every token comes by
its deadline; beside it, as Apt-Serve counts, by the P99 of its own TBT. `rebuilt` beside a policy says that K and V are
rebuilt from hidden states in each iteration, as in the paper. Prints tables, writes live.json, and never fails on a
figure.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import platform
import sys
from pathlib import Path

import numpy as np
import torch

from aptsched.cli.policies import answers
from aptsched.scheduling.forms import CacheForm
from aptsched.scheduling.record import SLO
from aptsched.support.files import write
from benchmarks.engine import OPT_125M
from benchmarks.tables import Row, show
from engine.loop.limits import Limits
from engine.models.decoder import Decoder
from engine.models.hidden_attention import HIDDEN_ATTENTION, absorb_limit
from engine.models.model import Model, load_model
from engine.models.random_weights import random_weights
from engine.study import real_model
from engine.study.arrival_source import ArrivalSource, traces
from engine.study.named_policies import named_policies
from engine.study.replay import Replay, replay
from engine.study.served_run import ServedRun
from engine.study.serving import NamedPolicy, Server, serve

ABSORBED = (
    "fcfs",
    "aptserve",
    "aptserve:charge=lifetime",
    "aptserve:forms=kv",
    "aptserve:forms=hidden",
    "bid-price",
    "bid-price:forms=hidden",
)
REBUILT = ("aptserve", "aptserve:forms=hidden")
Served = tuple[NamedPolicy, str]  # a policy, and how hidden states are read


def model_of(name: str, seed: int) -> Model:
    """OPT-125M's shape with random weights, or SmolLM2's MHA twin."""
    if name == "smollm2":
        return load_model(name, expand_kv_heads=True)
    return Model("opt-125m", Decoder(OPT_125M, random_weights(OPT_125M, torch.Generator().manual_seed(seed))))


def servers(model: Model, num_blocks: int) -> dict[str, Server]:
    """A server for each way to read hidden states, which believes what was measured of that way."""
    found = {}
    for how in HIDDEN_ATTENTION:
        times = real_model.calibrated(model, hidden_attention=how).times
        found[how] = real_model.live_server(model, num_blocks, Limits(), times, absorb_up_to=absorb_limit(how))
    return found


def requests(options: argparse.Namespace, rate_per_s: float, vocab_size: int) -> Replay:
    """The requests at one rate: the same lengths at each."""
    source = ArrivalSource(None, options.workload, options.num_requests, options.cv, options.seed)
    ((_, trace),) = traces(source, [rate_per_s])
    clip = {"max_prompt_tokens": options.max_prompt_tokens, "max_output_tokens": options.max_output_tokens}
    made = replay(trace, SLO(options.slo_ttft, options.slo_tpot), rate_per_s, options.seed, **clip)
    return dataclasses.replace(made, vocab_size=vocab_size)


def row(served: Served, rate_per_s: float, runs: list[ServedRun]) -> Row:
    """Medians over the runs of one policy at one rate, and the least and the most of two shares.

    They are of the requests with every token by its deadline (attained), and of those within both objectives by the P99
    of their own TBT, as Apt-Serve counts.
    """
    metrics = [run.metrics for run in runs]
    policy, how = served
    return {
        "policy": policy.name if how == "absorbed" else f"{policy.name}, rebuilt",
        "rate_per_s": rate_per_s,
        **_spread("attained", [each.attained for each in metrics]),
        **_spread("p99_tbt", [each.attained_p99_tbt for each in metrics]),
        "tbt_p50_ms": 1e3 * float(np.median([each.tbt.median_s for each in metrics])),
        "hidden_share": float(np.median([run.usage.share_of(CacheForm.HIDDEN) for run in runs])),
        "kv_share": float(np.median([run.usage.share_of(CacheForm.KV) for run in runs])),
    }


def _spread(name: str, shares: list[float]) -> Row:
    """The median, the least and the most of a share."""
    return {name: float(np.median(shares)), f"{name}_least": min(shares), f"{name}_most": max(shares)}


def table_of(name: str, options: argparse.Namespace) -> list[Row]:
    """All policies on one model."""
    model = model_of(name, options.seed)
    by_how = servers(model, options.num_blocks)
    served = [
        (policy, how)
        for how, names in (("absorbed", ABSORBED), ("rebuilt", REBUILT))
        for policy in named_policies(list(names), answers())
    ]
    vocab_size = model.config.vocab_size
    for how, server in by_how.items():
        ours = [policy for policy, own in served if own == how]
        real_model.warm_up(ours, requests(options, options.rates[0], vocab_size), server)
    runs: dict[tuple[int, float], list[ServedRun]] = {}
    for number in range(options.runs):
        for rate in options.rates:
            for i, (policy, how) in enumerate(served):
                run = serve(policy, requests(options, rate, vocab_size), by_how[how])
                runs.setdefault((i, rate), []).append(run)
                shares = f"{run.metrics.attained:.0%} by deadlines, {run.metrics.attained_p99_tbt:.0%} by P99 TBT"
                print(f"{name}, round {number}: {policy.name}, {how}, {rate:g}/s: {shares}", file=sys.stderr)
    return [row(served[i], rate, found) for (i, rate), found in sorted(runs.items(), key=lambda each: each[0][::-1])]


def parsed() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.live",
        description="Shares of requests that attain, live, with hidden states absorbed and rebuilt.",
        epilog="example: python -m benchmarks.live --models opt --runs 1 --num-requests 20",
    )
    parser.add_argument("--models", nargs="+", choices=("opt", "smollm2"), default=["opt", "smollm2"])
    parser.add_argument("--threads", type=int)
    parser.add_argument("--num-blocks", type=int, default=10, help="of the cache")
    parser.add_argument("--workload", default="humaneval")
    parser.add_argument("--rates", type=float, nargs="+", default=[2.0, 4.0], help="requests a second")
    parser.add_argument("--num-requests", type=int, default=50)
    parser.add_argument("--cv", type=float, default=2.0)
    parser.add_argument("--max-prompt-tokens", type=int, default=48, help="longer prompts are clipped")
    parser.add_argument("--max-output-tokens", type=int, default=16, help="longer outputs are clipped")
    parser.add_argument("--slo-ttft", type=float, default=2.0)
    parser.add_argument("--slo-tpot", type=float, default=0.75)
    parser.add_argument("--runs", type=int, default=3, help="of each policy at each rate")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("bench-out"), help="folder for live.json")
    return parser.parse_args()


def main() -> None:
    """Runs the benchmark."""
    options = parsed()
    real_model.set_threads(options.threads)
    found = {}
    for name in options.models:
        found[name] = table_of(name, options)
        show(f"{name}, {options.num_blocks} blocks: median of {options.runs} runs", found[name])
    machine = {"python": platform.python_version(), "torch": torch.__version__, "machine": platform.machine()}
    document = {**machine, "options": {name: str(value) for name, value in vars(options).items()}, **found}
    options.out.mkdir(parents=True, exist_ok=True)
    write(options.out / "live.json", json.dumps(document, indent=1))


if __name__ == "__main__":
    main()
