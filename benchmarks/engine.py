"""Compares our engine with transformers in one run: the same shapes of weights, threads and dtype.

    python -m benchmarks.engine [--threads 2] [--dtype fp32] [--repeats 3] [--out bench-out]

OPT-125M's shape with random weights, 128 tokens in and 64 out, prefill included, greedy sampling, no end-of-text token.
The two sides take turns, so that a machine whose speed drifts does not favour one, and the median of the ratios pair by
pair is shown; beside fp32, bf16 at batch 1. Then two further figures: how fast a decode at batch 1 reads the weights,
compared with a sum over 512 MiB; and the time of scheduling with 256 running and 1,600 waiting requests. Prints tables,
writes engine.json, and never fails on a figure.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from aptsched.policies.aptserve import AptServe
from aptsched.policies.fcfs import FCFS
from aptsched.scheduling.forms import CacheForm
from aptsched.support.files import write
from aptsched.workload import generate
from benchmarks.tables import Row, show
from engine.calibration.measure import uniform_batch
from engine.loop.iteration import Iteration
from engine.loop.loop import Loop
from engine.loop.worker import Worker
from engine.models.checkpoint import DTYPES
from engine.models.config import ModelConfig
from engine.models.decoder import Decoder
from engine.models.known_models import MODELS
from engine.models.model import Model
from engine.models.random_weights import random_weights
from engine.runner.torch_executor import TorchExecutor
from engine.session.engine import Engine
from engine.state.pool import BlockPool
from engine.state.request import Request
from engine.state.sampling_params import SamplingParams

NUM_IN, NUM_OUT = 128, 64
OPT_125M = MODELS["opt-125m"]
READ_BYTES = 512 * 2**20


def transformers_model(dtype: torch.dtype) -> Any:
    """The same shape in transformers, with random weights of its own."""
    from transformers import OPTForCausalLM

    peer: Any = OPTForCausalLM(transformers_config(OPT_125M))
    return peer.to(dtype).eval()


def transformers_config(config: ModelConfig) -> Any:
    """The configuration of a model of OPT's architecture in transformers, made ready for continuous batching."""
    from transformers import OPTConfig
    from transformers.generation.continuous_batching.cache import PagedAttentionCache
    from transformers.utils import logging

    # transformers 5.24 asks this cache for its length, which it lacks and OPT does not use where positions are given.
    PagedAttentionCache.get_seq_length = lambda *_: 0

    logging.set_verbosity_error()
    return OPTConfig(
        vocab_size=config.vocab_size,
        hidden_size=config.hidden_size,
        num_hidden_layers=config.num_layers,
        ffn_dim=config.intermediate_size,
        num_attention_heads=config.num_heads,
        max_position_embeddings=config.max_positions,
        word_embed_proj_dim=config.hidden_size,
    )


def both_sides(dtype: torch.dtype, seed: int) -> tuple[Engine, Any]:
    """Our engine and transformers' model, of the same shape."""
    decoder = Decoder(OPT_125M, random_weights(OPT_125M, torch.Generator().manual_seed(seed), dtype))
    return Engine(Model("opt-125m", decoder), num_blocks=32 * 20), transformers_model(dtype)


def timed(call: Callable[[], object]) -> float:
    """Seconds that a call takes."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def compare(name: str, num_tokens: int, ours: Callable[[], object], theirs: Callable[[], object], repeats: int) -> Row:
    """Output tokens a second of both sides, measured in turn after a warm-up of each."""
    ours(), theirs()
    pairs = np.array([(timed(ours), timed(theirs)) for _ in range(repeats)])
    return {
        "what": name,
        "ours_tokens_per_s": num_tokens / float(np.median(pairs[:, 0])),
        "theirs_tokens_per_s": num_tokens / float(np.median(pairs[:, 1])),
        "ratio": float(np.median(pairs[:, 1] / pairs[:, 0])),
    }


def against_generate(
    engine: Engine,
    model: Any,
    batch: int,
    rng: np.random.Generator,
    repeats: int,
    lengths: tuple[int, int] = (NUM_IN, NUM_OUT),
) -> Row:
    """Compare a static batch with transformers' `generate`; `lengths` are the tokens of a prompt and of an output."""
    num_in, num_out = lengths
    prompts = rng.integers(4, engine.model.config.vocab_size, (batch, num_in)).tolist()
    ids = torch.tensor(prompts, device=model.device)
    params = SamplingParams(max_tokens=num_out, ignore_eos=True)

    def theirs() -> None:
        with torch.inference_mode():
            made = model.generate(
                ids, max_new_tokens=num_out, min_new_tokens=num_out, do_sample=False, eos_token_id=None
            )
            made.cpu()  # with CUDA it is waited for there

    name = f"generate, batch {batch}"
    return compare(name, batch * num_out, lambda: engine.generate(prompts, params), theirs, repeats)


def against_continuous(
    engine: Engine,
    model: Any,
    in_flight: int,
    rng: np.random.Generator,
    repeats: int,
    lengths: tuple[int, int] = (NUM_IN, NUM_OUT),
) -> Row:
    """Compare requests of mixed prompts with transformers' continuous batching; all outputs have its one length.

    `lengths` are the mean tokens of a prompt, which vary by three quarters, and the tokens of an output.
    """
    (num_in, num_out), vocab_size = lengths, engine.model.config.vocab_size
    sizes = rng.integers(num_in // 4, num_in + 3 * num_in // 4 + 1, in_flight)
    prompts = [rng.integers(4, vocab_size, size).tolist() for size in sizes.tolist()]
    params = SamplingParams(max_tokens=num_out, ignore_eos=True)

    def theirs() -> None:
        from transformers import GenerationConfig

        config = GenerationConfig(max_new_tokens=num_out, do_sample=False, eos_token_id=-1, pad_token_id=1)
        found = model.generate_batch(prompts, generation_config=config, progress_bar=False)
        assert sum(len(answer.generated_tokens) for answer in found.values()) == in_flight * num_out

    name = f"continuous batching, {in_flight} in flight"
    return compare(name, in_flight * num_out, lambda: engine.generate(prompts, params), theirs, repeats)


def scheduling_share(decoder: Decoder, rng: np.random.Generator) -> list[Row]:
    """The share of view, decision, plan and record in an iteration with 256 running and 1,600 waiting requests."""
    rows = []
    for name, policy in (("fcfs", FCFS()), ("aptserve", AptServe())):
        executor, found = TorchExecutor(decoder, 256 * 7), list[Iteration]()
        pool = BlockPool(256 * 7, decoder.config.cache())
        loop = Loop(Worker(policy, pool, executor, lambda record: None, on_iteration=found.append))
        lengths = generate("sharegpt", 1856, rng)
        for i, count in enumerate(np.minimum(lengths.prompt_tokens, 64).tolist()):
            params = SamplingParams(max_tokens=1000, ignore_eos=True)
            loop.add(Request(i, 0.0, count, params, prompt_token_ids=rng.integers(4, 50_000, count).astype(np.int64)))
        while sum(step.num_decode_tokens >= 128 for step in found) < 12:
            loop.step()
        measured = [step for step in found if step.num_decode_tokens >= 128]
        rows.append(
            {
                "policy": name,
                "running": max(step.num_seqs for step in measured),
                "waiting": measured[-1].num_waiting,
                "scheduling_ms": 1e3 * float(np.median([step.scheduling_s for step in measured])),
                "iteration_ms": 1e3 * float(np.median([step.duration_s for step in measured])),
                "share": float(np.median([step.scheduling_s / step.duration_s for step in measured])),
            }
        )
    return rows


def weights_read(executor: TorchExecutor, repeats: int) -> Row:
    """Bytes of weights read a second in a decode at batch 1, over those of a sum that only reads, measured in turn."""
    config = executor.decoder.config
    batch = uniform_batch(1, 16, 1, CacheForm.KV, config.cache())
    layer = 4 * config.hidden_size**2 + 2 * config.hidden_size * config.intermediate_size
    size = torch.empty((), dtype=executor.decoder.dtype).element_size()
    num_bytes = size * (config.num_layers * layer + config.vocab_size * config.hidden_size)
    values = torch.ones(READ_BYTES // 4)
    times = np.array([(timed(lambda: executor.run(batch)), timed(values.sum)) for _ in range(20 * repeats + 1)])[1:]
    return {
        "weights_mib": num_bytes / 2**20,
        "decode_ms": 1e3 * float(np.median(times[:, 0])),
        "decode_gb_per_s": num_bytes / 1e9 / float(np.median(times[:, 0])),
        "sum_gb_per_s": READ_BYTES / 1e9 / float(np.median(times[:, 1])),
        "ratio": float(np.median(num_bytes / READ_BYTES * times[:, 1] / times[:, 0])),
    }


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.engine",
        description="Output tokens a second against transformers; cost of scheduling.",
        epilog="example: python -m benchmarks.engine --repeats 1 --batches 1 8",
    )
    parser.add_argument("--threads", type=int, default=2, help="of torch, for both sides")
    parser.add_argument("--dtype", choices=DTYPES, default="fp32")
    parser.add_argument("--batches", type=int, nargs="*", default=[1, 8, 32], help="batch sizes against generate")
    parser.add_argument("--in-flight", type=int, nargs="*", default=[1, 8, 32], help="against continuous batching")
    parser.add_argument("--repeats", type=int, default=3, help="pairs of runs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("bench-out"), help="folder for engine.json")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    rng, dtype = np.random.default_rng(options.seed), DTYPES[options.dtype]
    engine, peer = both_sides(dtype, options.seed)
    speed = [against_generate(engine, peer, batch, rng, options.repeats) for batch in options.batches]
    speed += [against_continuous(engine, peer, count, rng, options.repeats) for count in options.in_flight]
    if speed:
        show(f"output tokens/s, {options.dtype}, {options.threads} threads", speed)
    beside = []
    if options.dtype == "fp32" and options.batches:
        beside = [against_generate(*both_sides(torch.bfloat16, options.seed), 1, rng, options.repeats)]
        show(f"output tokens/s, bf16, {options.threads} threads", beside)
    read = [weights_read(engine.executor, options.repeats)]
    show("a decode at batch 1: weights read a second, over a sum of 512 MiB", read)
    scheduling = scheduling_share(engine.executor.decoder, rng)
    show("scheduling: share of an iteration", scheduling)
    machine = {"python": platform.python_version(), "torch": torch.__version__, "machine": platform.machine()}
    document: dict[str, Any] = {**machine, "options": {k: str(v) for k, v in vars(options).items()}}
    document |= {"speed": speed, "bf16": beside, "weights_read": read, "scheduling": scheduling}
    options.out.mkdir(parents=True, exist_ok=True)
    write(options.out / "engine.json", json.dumps(document, indent=1))


if __name__ == "__main__":
    main()
