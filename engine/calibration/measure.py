"""Measures how long iterations take on this device with this model, fits times to that, and saves both in a file."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from aptsched.scheduling.forms import FORM_ENTRIES, CacheForm, CacheShape, Charge, entry_of, shown_forms
from aptsched.scheduling.iteration_time import ADDED_BY_FORM, IterationTime
from aptsched.support import fields, files
from aptsched.support.checks import MAX_COUNT, MAX_DURATION_S, Floats, Ints
from aptsched.support.errors import InputError
from aptsched.support.json_text import read_json
from engine.calibration.points import PLAIN, Point, fit
from engine.state.batch import Batch, Conversion, Copies, Executor
from engine.state.request import Request

SCHEMA, VERSION = "aptsched.calibration", 1
# Kernels pad most of these numbers of rows a little, as those of other iterations (`engine.models.matmul.padded`).
DECODES = ((1, 64), (4, 128), (8, 256), (16, 128), (31, 128), (8, 512), (4, 1024))  # requests, tokens cached of each
PREFILLS = (16, 64, 123, 247, 495, 1000)  # tokens of a prompt
REPEATS = 5
MAX_FED = 1024  # tokens of all runs of a prefill together, so that a long one is run less often
MAX_REBUILT = 8192  # tokens of all runs of a decode in another form together
SWAPPED = 16  # blocks that are copied to the host and back
LEAST_S = 1e-9  # the shortest measurement that a file may have


@dataclass(frozen=True)
class Calibration:
    """The measurements of a model on a device, and the times fitted to them.

    Attributes
    ----------
    model, device, dtype : str
    times : IterationTime
    r_squared : float
        R^2 of the line through the origin from blocks m of hidden requests to the extra time; its slope is rho. None
        where the model has no hidden form.
    points : tuple of Point
    swap_s_per_block : float
        Seconds to copy a block between the pool and the host; 0 where that was not measured.
    """

    model: str
    device: str
    dtype: str
    times: IterationTime
    r_squared: float | None
    points: tuple[Point, ...]
    swap_s_per_block: float = 0.0


def calibrate(
    executor: Executor,
    cache: CacheShape,
    num_blocks: int,
    max_positions: int,
    names: tuple[str, str, str],
    num_host_blocks: int = 0,
    progress: Callable[[int, int, str], None] = lambda num_done, total, doing: None,
) -> Calibration:
    """Measure an executor whose pool has so many blocks; the content of the pool is overwritten.

    Each kind of iteration is run `REPEATS` times after a warm-up, the longest fewer times. A decode in another form
    alternates with the same decode in KV form, so that a machine whose speed drifts does not tilt the difference.

    Parameters
    ----------
    executor : Executor
    cache : CacheShape
        With the forms that are to be measured.
    num_blocks, max_positions : int
        Limits of the pool and the model: larger measurements are left out.
    names : model, device, dtype
    num_host_blocks : int
        Blocks on the host, to measure swapping; with fewer than `SWAPPED` it is not measured.
    progress : function
        Called with the number of measurements done, the number of all, and the name of the next.

    Raises
    ------
    InputError
        The pool is too small for any measurement.

    Source: Apt-Serve, section 5: rho is calibrated offline, here with a regression over many iterations.
    """
    points: list[Point] = []
    prefills = [count for count in PREFILLS if _fits(1, count, cache, num_blocks, max_positions)]
    decodes = [each for each in DECODES if _fits(each[0], each[1] + 1, cache, num_blocks, max_positions)]
    lossy = lossy_measured(cache)
    swaps = num_blocks >= SWAPPED <= num_host_blocks
    total, num_done = len(prefills) + len(decodes) * (1 + len(lossy)) + swaps, itertools.count()
    for count in prefills:
        progress(next(num_done), total, f"prefill of {count} tokens")
        batch = uniform_batch(1, 0, count, CacheForm.KV, cache)
        points.append(Point(count, 0, PLAIN, _seconds(executor, batch)))
    for size, cached in decodes:
        progress(next(num_done), total, f"decode of {size} x {cached} tokens cached")
        points += _decode_points(executor, size, cached, cache)
    # From many blocks to few, so that nothing is read in KV form where another one was written.
    decodes.sort(key=lambda each: -each[0] * cache.blocks(each[1] + 1, CacheForm.KV))
    for form, (size, cached) in itertools.product(lossy, decodes):
        progress(next(num_done), total, f"decode of {size} x {cached} tokens cached, {entry_of(form).label}")
        points += _lossy_points(executor, size, cached, form, cache, num_blocks)
    if len(points) < 4:
        raise InputError(f"num_blocks: {num_blocks} is not accepted; enough for prompts of a few hundred tokens are")
    swap_s = 0.0
    if swaps:
        progress(next(num_done), total, f"{SWAPPED} blocks to the host and back")
        swap_s = _swap_s_per_block(executor)
    times, r_squared = fit(points)
    return Calibration(*names, times, r_squared, tuple(points), swap_s)


def lossy_measured(cache: CacheShape) -> list[CacheForm]:
    """The lossy forms on offer for whose reading there is a charge."""
    entries = [entry_of(form) for form in cache.offered]
    return [each.form for each in entries if each.is_lossy and each.charge is not Charge.NOTHING]


def _decode_points(executor: Executor, size: int, cached: int, cache: CacheShape) -> list[Point]:
    """Measure a decode of `size` requests with `cached` tokens each, in KV form and in each other lossless form."""
    kv = uniform_batch(size, cached, 1, CacheForm.KV, cache)
    others = [CacheForm(form) for form in cache.offered if form != CacheForm.KV and not entry_of(form).is_lossy]
    if not others:
        return [Point(size, size * cached, PLAIN, _seconds(executor, kv))]
    points: list[Point] = []
    for form in others:
        pairs = _pairs(executor, kv, uniform_batch(size, cached, 1, form, cache))
        if not points:
            points.append(Point(size, size * cached, PLAIN, float(np.median(pairs[:, 0]))))
        points.append(_form_point(pairs, size, cached, form, cache))
    return points


def _lossy_points(
    executor: Executor, size: int, cached: int, form: CacheForm, cache: CacheShape, num_blocks: int
) -> list[Point]:
    """Measure the decode in a lossy form, in blocks behind those in KV form, which its numbers are converted from."""
    kv, other = (uniform_batch(size, cached, 1, each, cache) for each in (CacheForm.KV, form))
    if kv.block_table.size + other.block_table.size > num_blocks:
        return []
    other = replace(other, block_table=other.block_table + kv.block_table.size)
    conversions = [
        Conversion(request, cached, CacheForm.KV, form, source, target)
        for request, source, target in zip(kv.requests, kv.block_table, other.block_table, strict=True)
    ]
    executor.run(replace(_idle(), conversions=conversions))
    return [_form_point(_pairs(executor, kv, other), size, cached, form, cache)]


def _form_point(pairs: Floats, size: int, cached: int, form: CacheForm, cache: CacheShape) -> Point:
    """The point of a form, from seconds in KV form and in that form, [repeats, 2]."""
    blocks = [size * cache.blocks(cached + 1, CacheForm.KV) if form == each else 0 for each in CacheForm]
    took_s, extra_s = float(np.median(pairs[:, 1])), float(np.median(pairs[:, 1] - pairs[:, 0]))
    return Point(size, size * cached, tuple(blocks), took_s, extra_s)


def _fits(size: int, num_tokens: int, cache: CacheShape, num_blocks: int, max_positions: int) -> bool:
    """Whether model and pool can hold so many requests of so many tokens each."""
    return num_tokens <= max_positions and size * cache.blocks(num_tokens, CacheForm.KV) <= num_blocks


def uniform_batch(size: int, cached: int, num_tokens: int, form: CacheForm, cache: CacheShape) -> Batch:
    """A batch of requests of equal length; the cache's content is arbitrary, for reading it takes the same time."""
    each = cache.blocks(cached + num_tokens, form)
    prompt = np.zeros(cached + num_tokens, np.int64)
    requests = [Request(i, 0.0, len(prompt), prompt_token_ids=prompt) for i in range(size)]
    table = np.arange(size * each).reshape(size, each)
    counts: Ints = np.full(size, num_tokens)
    return Batch(requests, np.full(size, cached), counts, np.full(size, form), table, np.ones(size, np.bool_))


def _seconds(executor: Executor, batch: Batch) -> float:
    """The median time of a batch after a warm-up; the longest prefills run once, without a warm-up."""
    num_runs = _num_runs(MAX_FED, int(batch.num_tokens.sum()))
    seconds = [executor.run(batch).duration_s for _ in range(num_runs)]
    return float(np.median(seconds[1:] or seconds))


def _pairs(executor: Executor, first: Batch, second: Batch) -> Floats:
    """Seconds of two batches run in turn, [repeats, 2], after a warm-up."""
    num_runs = max(2, _num_runs(MAX_REBUILT, int(second.start.sum())))
    seconds = [[executor.run(batch).duration_s for batch in (first, second)] for _ in range(num_runs)]
    return np.array(seconds[1:])


def _swap_s_per_block(executor: Executor) -> float:
    """Seconds to copy one block, over copies to the host and back: the median after a warm-up."""
    copies = Copies(np.arange(SWAPPED), np.arange(SWAPPED))
    both = [replace(_idle(), swap_out=copies), replace(_idle(), swap_in=copies)]
    seconds = [sum(executor.run(batch).duration_s for batch in both) for _ in range(REPEATS + 1)]
    return float(np.median(seconds[1:])) / (2 * SWAPPED)


def _idle() -> Batch:
    """A batch that feeds nothing."""
    none = np.empty(0, np.int64)
    return Batch((), none, none, none, none.reshape(0, 0), none.astype(np.bool_))


def _num_runs(max_tokens: int, num_tokens: int) -> int:
    return min(REPEATS + 1, max(1, max_tokens // num_tokens))


def save(calibration: Calibration, path: str | os.PathLike[str]) -> None:
    """Write a calibration as JSON; docs/formats.md has the schema."""
    files.write(path, as_json(calibration))


def as_json(calibration: Calibration) -> str:
    """A calibration as JSON."""
    fitted = {"times": calibration.times.as_fields(), "r_squared": calibration.r_squared}
    names = {name: getattr(calibration, name) for name in ("model", "device", "dtype")}
    rest = {"points": list(map(_point_fields, calibration.points)), "swap_s_per_block": calibration.swap_s_per_block}
    document = {"schema": SCHEMA, "version": VERSION, **names, **fitted, **rest}
    return json.dumps(document, indent=1, allow_nan=False) + "\n"


def _point_fields(point: Point) -> dict[str, float]:
    """The fields of a point in files; a lossy form has a field only where it was measured."""
    counts = {"num_tokens": point.num_tokens, "num_context_tokens": point.num_context_tokens}
    blocks = {
        f"num_{entry.name}_kv_blocks": point.kv_blocks_by_form[entry.form]
        for entry in shown_forms(point.kv_blocks_by_form)
        if entry.form != CacheForm.KV
    }
    return {**counts, **blocks, "seconds": point.seconds, "extra_s": point.extra_s}


def load(path: str | os.PathLike[str]) -> Calibration:
    """Read a calibration.

    Raises
    ------
    InputError
        The file is no calibration: the message says what is wrong.
    """
    document = read_json(path)
    if not isinstance(document, dict) or (document.get("schema"), document.get("version")) != (SCHEMA, VERSION):
        raise InputError(f"{Path(path)}: not a file of `aptsched calibrate`; schema {SCHEMA}, version {VERSION} is")
    try:
        return _read(document)
    except InputError as error:
        raise InputError(f"{Path(path)}: {error}") from error


def _read(document: dict[str, Any]) -> Calibration:
    needed = ("schema", "version", "model", "device", "dtype", "times", "r_squared", "points")
    fields.named("calibration", document, needed, ("swap_s_per_block",))
    model, device, dtype = (fields.text(name, document[name]) for name in ("model", "device", "dtype"))
    times = _times(document["times"])
    r_squared = document["r_squared"]
    r_squared = None if r_squared is None else fields.number("r_squared", r_squared, -1e9, 1)
    given = fields.listed("points", document["points"])
    points = tuple(_point(f"points[{i}]", point) for i, point in enumerate(given))
    swap_s = fields.number("swap_s_per_block", document.get("swap_s_per_block", 0.0), 0, MAX_DURATION_S)
    return Calibration(model, device, dtype, times, r_squared, points, swap_s)


def _times(given: object) -> IterationTime:
    """Times as in a file; where K and V were rebuilt in each iteration, doing it once was not stored: it takes rho."""
    needed = (name for name in IterationTime().as_fields() if name != "rebuild_s_per_block")
    found = fields.named("times", given, needed, ("dequantise_s_per_block", "rebuild_s_per_block"))
    least = dict.fromkeys(ADDED_BY_FORM, -MAX_DURATION_S)
    seconds = {
        name: fields.number(f"times: {name}", value, least.get(name, 0), MAX_DURATION_S)
        for name, value in found.items()
    }
    times = IterationTime(**seconds)
    return replace(times, rebuild_s_per_block=seconds.get("rebuild_s_per_block", max(0.0, times.rho_s_per_block)))


def _point(what: str, given: object) -> Point:
    entries = [entry for entry in FORM_ENTRIES if entry.form != CacheForm.KV]
    lossy = [f"num_{entry.name}_kv_blocks" for entry in entries if entry.is_lossy]
    names = ["num_tokens", "num_context_tokens", *(f"num_{entry.name}_kv_blocks" for entry in entries)]
    found = fields.named(what, given, (*(name for name in names if name not in lossy), "seconds"), ("extra_s", *lossy))
    fed, cached, *blocks = (
        fields.whole(f"{what}: {name}", found.get(name, 0), int(name == "num_tokens"), MAX_COUNT) for name in names
    )
    seconds = fields.number(f"{what}: seconds", found["seconds"], LEAST_S, MAX_DURATION_S)
    extra_s = fields.number(f"{what}: extra_s", found.get("extra_s", 0.0), -MAX_DURATION_S, MAX_DURATION_S)
    return Point(fed, cached, (0, 0, *blocks), seconds, extra_s)
