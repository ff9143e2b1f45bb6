"""Hidden states against K and V: a decode, attention alone, and for how many new tokens rebuilding becomes cheaper.

    python -m benchmarks.hidden [--threads 2] [--dtype fp32] [--repeats 20] [--out bench-out]

Random models of OPT-125M's shape and, with rotary embedding, of a Llama of that size with MHA; requests with 500 cached
tokens each. A decode of 8 of them in KV form, in hidden form rebuilt, and in hidden form absorbed, whole and attention
alone; then one of them with chunks of several sizes, attention alone, rebuilt and absorbed, and where both cross,
beside `ModelConfig.absorb_up_to`, which counts products. All sides take turns, and the fastest run of each is shown.
Prints tables, writes hidden.json, and never fails on a figure.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from aptsched.report.document import machine
from aptsched.scheduling.forms import CacheForm
from aptsched.support.checks import Floats, Ints
from aptsched.support.files import write
from benchmarks.engine import OPT_125M, timed
from benchmarks.tables import Row, show
from engine.calibration.measure import uniform_batch
from engine.models import architecture
from engine.models.checkpoint import DTYPES
from engine.models.config import ModelConfig
from engine.models.decoder import Decoder
from engine.models.random_weights import random_weights
from engine.runner.layout import lay_out
from engine.runner.torch_executor import TorchExecutor
from engine.state.batch import Batch

SIZE, CACHED = 8, 500  # requests, tokens cached of each
MODELS = {
    "OPT-125M": OPT_125M,
    "Llama, MHA": dataclasses.replace(
        OPT_125M,
        architecture=architecture.LLAMA,
        activation="silu",
        intermediate_size=2048,
        attention_bias=False,
        mlp_bias=False,
    ),
}
WAYS = ("KV", "rebuilt", "absorbed")
SHARES = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0)  # sizes of chunks, over absorb_up_to


def fastest_ms(calls: list[Callable[[], object]], repeats: int) -> list[float]:
    """Milliseconds of the fastest run of each, run in turn after a warm-up of each."""
    times: Floats = np.array([[timed(call) for call in calls] for _ in range(repeats + 1)])
    fastest: list[float] = (1e3 * times[1:].min(axis=0)).tolist()
    return fastest


@torch.inference_mode()
def attention(
    executor: TorchExecutor, batch: Batch, rng: torch.Generator, layers: Sequence[int]
) -> Callable[[], torch.Tensor]:
    """A call of these layers' attention for a batch: what is new is written, what is cached is read.

    It returns the outcome of the last of them, whose K and V of new tokens all have.
    """
    decoder, config = executor.decoder, executor.decoder.config
    count = int(batch.num_tokens.sum())

    def drawn(*shape: int) -> torch.Tensor:
        return torch.randn(count, *shape, generator=rng, device=rng.device).to(decoder.dtype)

    hidden, q = drawn(config.hidden_size), drawn(config.num_heads, config.head_dim)
    layout = lay_out(batch, executor.storage, executor.forms, executor.kernels)
    executor.storage.upload.send()
    kv = decoder.keys_and_values(layers[-1], hidden, layout.positions)
    executor.attention.begin(layout)

    @torch.inference_mode()
    def call() -> torch.Tensor:
        for layer in layers:
            found = executor.attention(layer, hidden, q, kv)
        return found

    return call


def decodes(name: str, executors: dict[str, TorchExecutor], rng: torch.Generator, repeats: int) -> list[Row]:
    """A decode in each way, whole and attention alone, beside the same in KV form."""
    cache, layers = MODELS[name].cache(), range(MODELS[name].num_layers)
    forms = {"KV": CacheForm.KV, "rebuilt": CacheForm.HIDDEN, "absorbed": CacheForm.HIDDEN}
    batches = {way: uniform_batch(SIZE, CACHED, 1, forms[way], cache) for way in WAYS}
    whole = fastest_ms([partial(executors[way].run, batches[way]) for way in WAYS], repeats)
    alone = fastest_ms([attention(executors[way], batches[way], rng, layers) for way in WAYS], repeats)
    return [
        {
            "cache": way,
            "decode_ms": whole_ms,
            "decode_over_KV": whole_ms / whole[0],
            "decode_over_rebuilt": whole_ms / whole[1],
            "attention_ms": alone_ms,
            "attention_over_KV": alone_ms / alone[0],
        }
        for way, whole_ms, alone_ms in zip(WAYS, whole, alone, strict=True)
    ]


def chunks(name: str, executors: dict[str, TorchExecutor], rng: torch.Generator, repeats: int) -> list[Row]:
    """Attention alone of chunks of one request, rebuilt and absorbed."""
    config, layers, rows = MODELS[name], range(MODELS[name].num_layers), []
    for share in SHARES:
        num_new = max(1, round(share * config.absorb_up_to))
        batch = uniform_batch(1, CACHED, num_new, CacheForm.HIDDEN, config.cache())
        rebuilt, absorbed = fastest_ms([attention(executors[way], batch, rng, layers) for way in WAYS[1:]], repeats)
        row = {"new_tokens": num_new, "rebuilt_ms": rebuilt, "absorbed_ms": absorbed}
        rows.append({**row, "ratio": absorbed / rebuilt})
    return rows


def crossing(num_new: Ints, ratios: Floats) -> float | None:
    """New tokens at which the ratio first reaches 1, on lines between measurements; None if it never does."""
    above = np.flatnonzero(ratios >= 1)
    if not len(above):
        return None
    after = int(above[0])
    if not after:
        return float(num_new[0])
    share = (1 - ratios[after - 1]) / (ratios[after] - ratios[after - 1])
    return float(num_new[after - 1] + share * (num_new[after] - num_new[after - 1]))


def executors_of(config: ModelConfig, dtype: torch.dtype, generator: torch.Generator) -> dict[str, TorchExecutor]:
    """One model, and an executor for each way; those that absorb do so for any number of new tokens."""
    decoder = Decoder(config, random_weights(config, generator, dtype))
    num_blocks = SIZE * config.cache().blocks(CACHED + 1, CacheForm.KV)
    limits = {"KV": 0, "rebuilt": 0, "absorbed": config.max_positions}
    return {way: TorchExecutor(decoder, num_blocks, absorb_up_to=limits[way]) for way in WAYS}


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.hidden",
        description="Attention over hidden states, absorbed and rebuilt, against KV form.",
        epilog="example: python -m benchmarks.hidden --repeats 5",
    )
    parser.add_argument("--threads", type=int, default=2, help="of torch")
    parser.add_argument("--dtype", choices=DTYPES, default="fp32")
    parser.add_argument("--repeats", type=int, default=20, help="runs of each, of which the fastest counts")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("bench-out"), help="folder for hidden.json")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rng, dtype = torch.Generator().manual_seed(options.seed), DTYPES[options.dtype]
    document: dict[str, Any] = {**machine(), "options": {k: str(v) for k, v in vars(options).items()}}
    crossings = []
    for name, config in MODELS.items():
        executors, title = executors_of(config, dtype, rng), f"{name}, {options.dtype}, {options.threads} threads"
        whole = decodes(name, executors, rng, options.repeats)
        show(f"{title}: a decode of {SIZE} requests with {CACHED} cached tokens each", whole)
        parts = chunks(name, executors, rng, options.repeats)
        show(f"{title}: attention of a chunk to {CACHED} cached hidden states", parts)
        at = crossing(*(np.array([row[column] for row in parts]) for column in ("new_tokens", "ratio")))
        crossings.append(
            {"model": name, "measured": "none" if at is None else round(at), "computed": config.absorb_up_to}
        )
        document[name] = {"decode": whole, "chunks": parts, "crossing": crossings[-1]}
    show("new tokens from which on rebuilding is cheaper", crossings)
    options.out.mkdir(parents=True, exist_ok=True)
    write(options.out / "hidden.json", json.dumps(document, indent=1))


if __name__ == "__main__":
    main()
