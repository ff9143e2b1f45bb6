"""Attention by kernels against the plain path: the largest error, the time, and the share of the roofline."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from aptsched.scheduling.forms import CacheForm, entry_of
from benchmarks.gpu.peaks import peaks, peaks_row
from benchmarks.gpu.rig import Rig
from benchmarks.hidden import attention
from benchmarks.tables import Row
from engine.calibration.measure import uniform_batch
from engine.models.config import ModelConfig
from engine.runner.forms.form_blocks import owners
from engine.runner.kernels.table import can_run
from engine.runner.torch_executor import TorchExecutor
from engine.state.batch import Batch

NUM_LAYERS = 2  # the last is measured
FORMS = (CacheForm.KV, CacheForm.INT8, CacheForm.HIDDEN)


@dataclass(frozen=True)
class Shape:
    """So many requests of one model, each of which has some tokens cached and is fed others."""

    model: str
    size: int
    cached: int
    fed: int

    def name(self, form: CacheForm) -> str:
        """As in the table."""
        return f"{self.model} {entry_of(form).label}, {self.size} x {self.cached} + {self.fed}"


USUAL = (
    Shape("opt-13b", 32, 512, 1),
    Shape("opt-13b", 128, 256, 1),
    Shape("opt-13b", 2, 1900, 1),
    Shape("opt-13b", 4, 512, 256),
    Shape("opt-13b", 2, 0, 1024),
    Shape("llama-2-7b", 32, 512, 1),
    Shape("llama-3-8b", 32, 512, 1),
)
TINY = (Shape("opt-13b", 3, 20, 1), Shape("opt-13b", 2, 16, 9), Shape("llama-3-8b", 2, 20, 1))


def rows(rig: Rig) -> Iterator[Row]:
    """The peaks, and then a row for each shape, form and path; kernels where they run."""
    best = peaks(rig)
    yield peaks_row(best)
    paths = {"plain": False} | ({"kernels": True} if can_run(torch.device(rig.device), rig.dtype) else {})
    for shape in rig.size(USUAL, TINY):
        config = rig.config(shape.model, NUM_LAYERS)
        decoder = rig.model(config).decoder
        num_blocks = shape.size * config.cache().blocks(shape.cached + shape.fed, CacheForm.KV)
        executors = {path: TorchExecutor(decoder, num_blocks, kernels=by) for path, by in paths.items()}
        for form in FORMS:
            if form != CacheForm.HIDDEN or config.cache_ratio < 1:
                least_s = best.least_s(*least_work(config, shape, form, rig.dtype.itemsize))
                for row in compared(rig, executors, shape, form):
                    yield {**row, "of_roofline": least_s / (row["us"] / 1e6)}


@torch.inference_mode()
def compared(rig: Rig, executors: dict[str, TorchExecutor], shape: Shape, form: CacheForm) -> Iterator[Row]:
    """Each path on the same blocks and new tokens, and how far its outcome is from that of the plain one."""
    plain = executors["plain"]
    batch = scattered(rig, plain, shape, form)
    fill(plain, batch, form)
    expected: torch.Tensor | None = None
    for path, executor in executors.items():
        executor.storage.blocks.copy_(plain.storage.blocks)
        rng = torch.Generator(rig.device).manual_seed(1)  # the same on each path
        call = attention(executor, batch, rng, [NUM_LAYERS - 1])
        found = call().float()
        expected = found if expected is None else expected
        error = float((found - expected).abs().max())
        yield {"what": shape.name(form), "path": path, "error": error, "us": 1e6 * rig.seconds(call)}


def scattered(rig: Rig, executor: TorchExecutor, shape: Shape, form: CacheForm) -> Batch:
    """The batch of a shape, in blocks in random order."""
    batch = uniform_batch(shape.size, shape.cached, shape.fed, form, rig.cache(executor.decoder.config))
    order = np.random.default_rng(0).permutation(executor.storage.blocks.shape[1])
    return dataclasses.replace(batch, block_table=order[batch.block_table])


def fill(executor: TorchExecutor, batch: Batch, form: CacheForm) -> None:
    """Random cached tokens, written by the plain path into blocks of zeros."""
    config, blocks = executor.decoder.config, executor.forms[form]
    executor.storage.blocks.zero_()
    owner, positions = owners(batch.start)
    if len(owner):
        write = blocks.writer(batch.block_table, owner, positions)
        executor.storage.upload.send()
        shape = (config.hidden_size,) if blocks.stores_hidden else (2, config.num_kv_heads, config.head_dim)
        rng = torch.Generator(executor.decoder.device).manual_seed(0)
        tokens = torch.randn(len(owner), *shape, generator=rng, device=rng.device)
        write(NUM_LAYERS - 1, tokens.to(executor.decoder.dtype))


def least_work(config: ModelConfig, shape: Shape, form: CacheForm, number_bytes: int) -> tuple[float, float]:
    """Bytes that attention of one layer reads at least, each cached token once, and operations that it does.

    Of hidden states operations are those of absorbed attention up to `absorb_up_to` new tokens, and else of rebuilding
    K and V once; the matrices of both are read too.
    """
    tokens, heads = shape.size * (shape.cached + shape.fed), config.num_heads * config.head_dim
    pairs = shape.size * (shape.cached * shape.fed + shape.fed * (shape.fed + 1) / 2)
    new_values = 2 * shape.size * shape.fed * heads
    flops = 4 * pairs * heads
    if form == CacheForm.INT8:
        return tokens * (config.kv_size + 4 * config.num_kv_heads) + number_bytes * new_values, flops
    if form == CacheForm.KV or not shape.cached:
        return number_bytes * (tokens * config.kv_size + new_values), flops
    num_bytes = number_bytes * (tokens * config.hidden_size + new_values + config.kv_size * config.hidden_size)
    if shape.fed > config.absorb_up_to:
        return num_bytes, flops + 2 * tokens * config.hidden_size * config.kv_size
    keys = 2 * tokens * config.hidden_size * config.kv_size / 2 if config.architecture.positions == "rope" else 0
    return num_bytes, 4 * pairs * config.num_heads * config.hidden_size + keys
