"""Decodes of OPT-13B's shape: a whole iteration against the memory's roofline, and attention beside that to K and V."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from aptsched.scheduling.forms import CacheForm, entry_of
from benchmarks.gpu.peaks import peaks, peaks_row
from benchmarks.gpu.rig import Rig
from benchmarks.hidden import attention
from benchmarks.tables import Row
from engine.calibration.measure import uniform_batch
from engine.models.decoder import Decoder
from engine.runner.torch_executor import TorchExecutor

SIZES = (1, 8, 32, 128)  # requests
FORMS = (CacheForm.KV, CacheForm.HIDDEN, CacheForm.INT8)


def rows(rig: Rig) -> Iterator[Row]:
    """The peaks, and then a row for each size and form."""
    best = peaks(rig)
    yield peaks_row(best)
    config = rig.config("opt-13b")
    weights = rig.weights(config)
    positions = 0 if weights.positions is None else weights.positions.nbytes  # a row of them is read for each token
    sizes = rig.size(SIZES, SIZES[:2])
    num_blocks = max(sizes) * config.cache().blocks(cached(rig) + 1, CacheForm.KV)
    executor = TorchExecutor(Decoder(config, weights), num_blocks)
    for size in sizes:
        kv_ms = 0.0
        for form in FORMS:
            row, num_bytes = timed(rig, executor, size, form)
            kv_ms = kv_ms or row["attention_ms"]
            least_ms = 1e3 * (weights.num_bytes - positions + num_bytes) / best.bytes_per_s
            share = least_ms / row["iteration_ms"]
            yield {**row, "of_roofline": share, "attention_over_KV": row["attention_ms"] / kv_ms}


def cached(rig: Rig) -> int:
    """Tokens that each request has cached."""
    return rig.size(256, 20)


def timed(rig: Rig, executor: TorchExecutor, size: int, form: CacheForm) -> tuple[Row, float]:
    """Milliseconds of a decode and of its attention alone; and the bytes of cached tokens that it has to read."""
    config, cache = executor.decoder.config, rig.cache(executor.decoder.config)
    batch = uniform_batch(size, cached(rig), 1, form, cache)
    executor.storage.blocks.zero_()  # bytes of another form may be NaN in this one
    took_s = min(executor.run(batch).duration_s for _ in range(rig.size(20, 2)))
    rng = torch.Generator(rig.device).manual_seed(0)
    alone_s = rig.seconds(attention(executor, batch, rng, range(config.num_layers)))
    num_bytes = size * cached(rig) * config.kv_bytes(rig.dtype.itemsize) * float(cache.ratio_by_form[form] or 1)
    name = f"{entry_of(form).label}, batch {size}"
    return {"what": name, "iteration_ms": 1e3 * took_s, "attention_ms": 1e3 * alone_s}, num_bytes
