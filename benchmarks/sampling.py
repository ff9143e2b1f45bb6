"""What drawing a token takes over greedy choice: of the token alone, and of a decode of SmolLM2 with its vocabulary.

    python -m benchmarks.sampling [--threads 2] [--batches 1 8 32] [--repeats 30] [--out bench-out]

Greedy choice, temperature 1, and temperature 1 with top_k, top_p or both take turns; the fastest run of each is shown,
as microseconds of a token. First `sample` alone, on random logits whose likeliest tokens have a few percent each; then
a decode of requests with 64 cached tokens each. Prints tables, writes sampling.json, and never fails on a figure.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from aptsched.report.document import machine
from aptsched.scheduling.forms import CacheForm
from aptsched.support.files import write
from benchmarks.hidden import fastest_ms
from benchmarks.tables import Row, show
from engine.calibration.measure import uniform_batch
from engine.models.model import load_model
from engine.runner.sampler import sample
from engine.runner.torch_executor import TorchExecutor
from engine.state.request import Request
from engine.state.sampling_params import SamplingParams

VOCAB, CACHED = 49_152, 64
SPREAD = 3.0  # standard deviation of logits
KINDS = {
    "greedy": SamplingParams(),
    "temperature 1": SamplingParams(temperature=1.0),
    "top_k 50": SamplingParams(temperature=1.0, top_k=50),
    "top_p 0.9": SamplingParams(temperature=1.0, top_p=0.9),
    "top_k 50, top_p 0.9": SamplingParams(temperature=1.0, top_k=50, top_p=0.9),
}


def alone(batch: int, repeats: int, rng: torch.Generator) -> list[Row]:
    """Each kind at one batch size, without a model."""
    logits = SPREAD * torch.randn(batch, VOCAB, generator=rng)
    calls: list[Callable[[], object]] = [
        partial(sample, logits, [Request(i, 0.0, 1, params) for i in range(batch)]) for params in KINDS.values()
    ]
    return rows(batch, fastest_ms(calls, repeats))


def decodes(executor: TorchExecutor, batch: int, repeats: int) -> list[Row]:
    """Each kind at one batch size, as the end of a decode."""
    made = uniform_batch(batch, CACHED, 1, CacheForm.KV, executor.decoder.config.cache())
    calls: list[Callable[[], object]] = []
    for params in KINDS.values():
        requests = [dataclasses.replace(request, params=params) for request in made.requests]
        calls.append(partial(executor.run, dataclasses.replace(made, requests=requests)))
    return rows(batch, fastest_ms(calls, repeats))


def rows(batch: int, found_ms: list[float]) -> list[Row]:
    """A row for each kind."""
    per_token = [1e3 * found / batch for found in found_ms]
    return [
        {"batch": f"{batch}, {kind}", "us_a_token": found, "over_greedy": found / per_token[0]}
        for kind, found in zip(KINDS, per_token, strict=True)
    ]


@torch.inference_mode()
def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.sampling",
        description="What drawing a token takes, over greedy choice.",
        epilog="example: python -m benchmarks.sampling --batches 8",
    )
    parser.add_argument("--threads", type=int, default=2, help="of torch")
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--repeats", type=int, default=30, help="runs of each, of which the fastest counts")
    parser.add_argument("--out", type=Path, default=Path("bench-out"), help="folder for sampling.json")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rng = torch.Generator().manual_seed(0)
    sampled = [each for batch in options.batches for each in alone(batch, options.repeats, rng)]
    show(f"sampling alone at a vocabulary of {VOCAB:,}, {options.threads} threads", sampled)
    decoder = load_model("smollm2").decoder
    most = max(options.batches) * decoder.config.cache().blocks(CACHED + 1, CacheForm.KV)
    executor = TorchExecutor(decoder, most)
    whole = [each for batch in options.batches for each in decodes(executor, batch, options.repeats)]
    show(f"a decode of SmolLM2, {options.threads} threads", whole)
    options.out.mkdir(parents=True, exist_ok=True)
    write(options.out / "sampling.json", json.dumps({**machine(), "alone": sampled, "decode": whole}, indent=1))


if __name__ == "__main__":
    main()
