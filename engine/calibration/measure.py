"""Measures how long iterations take on this device with this model, and fits times to that."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from aptsched.scheduling.forms import CacheForm, CacheShape, Charge, entry_of
from aptsched.scheduling.iteration_time import IterationTime
from aptsched.support.checks import Floats, Ints
from aptsched.support.errors import InputError
from engine.calibration.points import PLAIN, Point, fit, slope
from engine.calibration.timing import REPEATS, alone, idle, in_turn
from engine.state.batch import Batch, Conversion, Copies, Executor
from engine.state.request import Request

# Kernels pad most of these numbers of rows a little, as those of other iterations (`engine.models.matmul.padded`).
DECODES = ((1, 64), (4, 128), (8, 256), (16, 128), (31, 128), (8, 512), (4, 1024))  # requests, tokens cached of each
PREFILLS = (16, 64, 123, 247, 495, 1000)  # tokens of a prompt
MAX_CONVERTED = 2048  # tokens of all conversions of a size together, with a warm-up at least
SWAPPED = 16  # blocks that are copied to the host and back


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
    absorb_up_to : int
        The most new tokens of a request for which attention over its hidden states is faster absorbed, as it was in the
        points; 0 where K and V were rebuilt in these.
    """

    model: str
    device: str
    dtype: str
    times: IterationTime
    r_squared: float | None
    points: tuple[Point, ...]
    swap_s_per_block: float = 0.0
    absorb_up_to: int = 0


def calibrate(
    executor: Executor,
    cache: CacheShape,
    num_blocks: int,
    max_positions: int,
    names: tuple[str, str, str],
    num_host_blocks: int = 0,
    progress: Callable[[int, int, str], None] = lambda num_done, total, doing: None,
    switch: Callable[[], int] | None = None,
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
    switch : function, optional
        Measures up to how many new tokens attention over hidden states is absorbed, which the executor does in a
        decode; without it, it rebuilds K and V.

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
    is_hidden = cache.offers(CacheForm.HIDDEN)
    more = is_hidden + (switch is not None) + swaps
    total, num_done = len(prefills) + len(decodes) * (1 + len(lossy)) + more, itertools.count()
    for count in prefills:
        progress(next(num_done), total, f"prefill of {count} tokens")
        batch = uniform_batch(1, 0, count, CacheForm.KV, cache)
        points.append(Point(count, 0, PLAIN, alone(executor, batch)))
    for size, cached in decodes:
        progress(next(num_done), total, f"decode of {size} x {cached} tokens cached")
        points += _decode_points(executor, size, cached, cache)
    rebuild_s, up_to, swap_s = 0.0, 0, 0.0
    if is_hidden:
        progress(next(num_done), total, "hidden states to K and V")
        rebuild_s = _rebuild_s_per_block(executor, decodes, cache, num_blocks)
    if switch is not None:
        progress(next(num_done), total, "chunks beside hidden states, absorbed and rebuilt")
        up_to = switch()
    # From many blocks to few, so that nothing is read in KV form where another one was written.
    decodes.sort(key=lambda each: -each[0] * cache.blocks(each[1] + 1, CacheForm.KV))
    for form, (size, cached) in itertools.product(lossy, decodes):
        progress(next(num_done), total, f"decode of {size} x {cached} tokens cached, {entry_of(form).label}")
        points += _lossy_points(executor, size, cached, form, cache, num_blocks)
    if len(points) < 4:
        raise InputError(f"num_blocks: {num_blocks} is not accepted; enough for prompts of a few hundred tokens are")
    if swaps:
        progress(next(num_done), total, f"{SWAPPED} blocks to the host and back")
        swap_s = _swap_s_per_block(executor)
    times, r_squared = fit(points)
    times = replace(times, rebuild_s_per_block=rebuild_s)
    return Calibration(*names, times, r_squared, tuple(points), swap_s, up_to)


def lossy_measured(cache: CacheShape) -> list[CacheForm]:
    """The lossy forms on offer for whose reading there is a charge."""
    entries = [entry_of(form) for form in cache.offered]
    return [each.form for each in entries if each.is_lossy and each.charge is not Charge.NOTHING]


def _decode_points(executor: Executor, size: int, cached: int, cache: CacheShape) -> list[Point]:
    """Measure a decode of `size` requests with `cached` tokens each, in KV form and in each other lossless form."""
    kv = uniform_batch(size, cached, 1, CacheForm.KV, cache)
    others = [CacheForm(form) for form in cache.offered if form != CacheForm.KV and not entry_of(form).is_lossy]
    if not others:
        return [Point(size, size * cached, PLAIN, alone(executor, kv))]
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
    executor.run(replace(idle(), conversions=_conversions(kv, other.block_table, form)))
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


def _pairs(executor: Executor, first: Batch, second: Batch) -> Floats:
    """Seconds of two decodes in turn, [repeats, 2]."""
    return in_turn([(executor, first), (executor, second)], int(second.start.sum()))


def _rebuild_s_per_block(
    executor: Executor, decodes: Sequence[tuple[int, int]], cache: CacheShape, num_blocks: int
) -> float:
    """Seconds that converting requests from hidden to KV form takes for each block m; 0 where none fit in both."""
    blocks, seconds = [], []
    for size, cached in decodes:
        hidden, kv = (uniform_batch(size, cached, 1, form, cache) for form in (CacheForm.HIDDEN, CacheForm.KV))
        fits = hidden.block_table.size + kv.block_table.size <= num_blocks
        if fits and size * cached <= MAX_CONVERTED:
            conversions = _conversions(hidden, kv.block_table + hidden.block_table.size, CacheForm.KV)
            turns = in_turn([(executor, replace(idle(), conversions=conversions))], size * cached, MAX_CONVERTED)
            blocks.append(size * cache.blocks(cached + 1, CacheForm.KV))
            seconds.append(float(np.median(turns)))
    return slope(blocks, seconds) if blocks else 0.0


def _conversions(held: Batch, target: Ints, form: CacheForm) -> list[Conversion]:
    """Conversions of a batch's requests to another form, in other blocks, [size, blocks of each]."""
    return [
        Conversion(request, cached, CacheForm(own), form, source, blocks)
        for request, cached, own, source, blocks in zip(
            held.requests, held.start.tolist(), held.form.tolist(), held.block_table, target, strict=True
        )
    ]


def _swap_s_per_block(executor: Executor) -> float:
    """Seconds to copy one block, over copies to the host and back: the median after a warm-up."""
    copies = Copies(np.arange(SWAPPED), np.arange(SWAPPED))
    both = [replace(idle(), swap_out=copies), replace(idle(), swap_in=copies)]
    seconds = [sum(executor.run(batch).duration_s for batch in both) for _ in range(REPEATS + 1)]
    return float(np.median(seconds[1:])) / (2 * SWAPPED)
