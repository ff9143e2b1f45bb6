"""Compares the engine's stated memory with the process's peak, and shows whether memory grows with requests served.

    python -m benchmarks.memory [--dtypes fp32 bf16] [--requests 10000] [--out bench-out]

In a process of its own for each dtype, SmolLM2's MHA twin is loaded, serves prompts of a whole token budget, decodes in
each form, and samples; the peak of resident memory is held against the sum of what is stated: what the interpreter and
torch take once they are imported, weights, cache, and scratch. Then a small model serves many requests, and resident
memory is read at every tenth of them. The kernels of all numbers of rows are made before either. Prints tables, writes
memory.json, and never fails on a figure.
"""

from __future__ import annotations

import argparse
import gc
import json
import math
import multiprocessing
import resource
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import track

from aptsched.policies.aptserve import AptServe
from aptsched.support.files import write
from benchmarks.scratch import scratch_bytes
from benchmarks.tables import show
from engine.models import architecture
from engine.models.assemble import tensor_shapes
from engine.models.config import ModelConfig
from engine.models.decoder import Decoder
from engine.models.matmul import kernel_rows, packs
from engine.models.model import Model, load_model
from engine.models.random_weights import random_weights
from engine.session.engine import Engine
from engine.state.sampling_params import SamplingParams

NUM_BLOCKS, MAX_TOKENS, MAX_SEQS = 512, 2048, 256
FORMS = ("kv", "hidden", "int8")
SMALL = ModelConfig(
    architecture=architecture.OPT,
    vocab_size=512,
    hidden_size=64,
    num_layers=2,
    num_heads=4,
    num_kv_heads=4,
    head_dim=16,
    intermediate_size=128,
    max_positions=256,
    activation="relu",
    norm_eps=1e-5,
    attention_bias=True,
    mlp_bias=True,
    tied=True,
)
MIB = 2**20


def resident() -> int:
    """Bytes of resident memory now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def peak() -> int:
    """Most bytes of resident memory so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def made_of(dtype: str, seed: int) -> dict[str, float]:
    """MiB of each stated part, and of the peak of this process."""
    imported = resident()
    model = load_model("smollm2", dtype=dtype, expand_kv_heads=True)
    loading = peak()
    config = model.config
    plain = sum(math.prod(shape) for shape in tensor_shapes(config).values())
    head = config.vocab_size * config.hidden_size  # packed, beside the embedding, which is the same matrix
    apart = config.num_layers * config.hidden_size * config.kv_size * (config.cache_ratio < 1)  # K and V once more
    numbers = plain + (head + apart) * packs(model.decoder.device, model.decoder.dtype)
    make_kernels(model.decoder, MAX_TOKENS, MAX_SEQS)
    for forms in FORMS:
        engine = Engine(model, AptServe(forms=forms), num_blocks=NUM_BLOCKS, max_tokens=MAX_TOKENS, max_seqs=MAX_SEQS)
        rng = np.random.default_rng(seed)
        prompts = [rng.integers(4, 40_000, size).tolist() for size in (2000, 1000, 1000, *[250] * 16)]
        engine.generate(prompts, SamplingParams(max_tokens=4, ignore_eos=True, temperature=1.0))
        cache = engine.executor.storage.num_bytes
        del engine
        gc.collect()
    scratch = scratch_bytes(config, model.decoder.dtype, MAX_TOKENS, MAX_SEQS)
    weights = numbers * model.decoder.dtype.itemsize
    parts = {"imported": imported, "weights": weights, "cache": cache, "scratch": scratch}
    stated = {f"{name}_mib": size / MIB for name, size in parts.items()}
    return {
        **stated,
        "sum_mib": sum(parts.values()) / MIB,
        "peak_loading_mib": loading / MIB,
        "peak_mib": peak() / MIB,
    }


def alone(function: Callable[[str, int], dict[str, float]], dtype: str, seed: int) -> dict[str, float]:
    """What a function gives in a new process, whose peak of memory is its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as processes:
        return processes.submit(function, dtype, seed).result()


def make_kernels(decoder: Decoder, max_tokens: int, max_seqs: int) -> None:
    """Make the kernels of all numbers of rows, which a run would otherwise make one after the other."""
    layer, width, heads = (
        decoder.layers[0],
        decoder.config.hidden_size,
        decoder.config.num_heads * decoder.config.head_dim,
    )
    x, attended = (torch.zeros(max_tokens, each, dtype=decoder.dtype) for each in (width, heads))
    with torch.inference_mode():
        for rows in kernel_rows(max_tokens):
            layer.qkv(x[:rows], None, needs_kv=True)
            layer.out(attended[:rows])
            layer.mlp(x[: min(rows, decoder.mlp_rows)])
            if (parts := layer.qkv.kv_parts) is not None and parts.keys is not None:
                parts.keys(x[:rows])
        for rows in kernel_rows(max_seqs):
            decoder.logits(x[:rows])


def growth(num_requests: int, seed: int, console: Console) -> list[dict[str, float]]:
    """Resident memory while a small model serves many requests."""
    decoder = Decoder(SMALL, random_weights(SMALL, torch.Generator().manual_seed(seed)))
    make_kernels(decoder, MAX_TOKENS, MAX_SEQS)
    engine = Engine(Model("small", decoder), AptServe(), num_blocks=200)
    rng, rows = np.random.default_rng(seed), []
    each = max(1, num_requests // 10)
    for done in track(range(each, num_requests + 1, each), "requests", console=console, transient=True):
        prompts = [rng.integers(0, SMALL.vocab_size, size).tolist() for size in rng.integers(4, 100, each)]
        engine.generate(prompts, SamplingParams(max_tokens=8, ignore_eos=True))
        gc.collect()
        rows.append({"requests": done, "resident_mib": resident() / MIB})
    return rows


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.memory",
        description="Resident memory against weights, cache and stated scratch; growth over many requests.",
        epilog="example: python -m benchmarks.memory --requests 2000",
    )
    parser.add_argument("--dtypes", nargs="+", default=["fp32", "bf16"], choices=["fp32", "bf16", "fp16"])
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("bench-out"), help="folder for memory.json")
    options = parser.parse_args()
    if options.requests < 1:
        parser.error(f"--requests: {options.requests} is not accepted; at least 1 is")
    parts = {dtype: alone(made_of, dtype, options.seed) for dtype in options.dtypes}
    names = {name: name.removesuffix("_mib").replace("_", " ") for name in parts[options.dtypes[0]]}
    show(
        "SmolLM2, MHA twin: MiB",
        [{"part": shown} | {dtype: f"{parts[dtype][name]:.0f}" for dtype in parts} for name, shown in names.items()],
    )
    rows = growth(options.requests, options.seed, Console(stderr=True))
    show(
        "resident memory of a small model over its requests",
        [{name: round(n) for name, n in row.items()} for row in rows],
    )
    options.out.mkdir(parents=True, exist_ok=True)
    write(options.out / "memory.json", json.dumps({"parts": parts, "growth": rows}, indent=1))


if __name__ == "__main__":
    main()
