"""The most new tokens for which attention over hidden states is faster absorbed than with K and V rebuilt."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from aptsched.scheduling.forms import CacheForm, CacheShape
from engine.calibration.measure import uniform_batch
from engine.calibration.timing import in_turn
from engine.state.batch import Executor

CACHED = 512  # tokens in hidden form that a chunk attends to
CHUNKS = (0.25, 0.5, 1.0, 2.0)  # tokens of a chunk, in the number computed from the shape
MAX_FED = 256  # tokens of all turns with a chunk, so that a long one has fewer


def chunk_sizes(by_shape: int, max_positions: int) -> list[int]:
    """Tokens of the chunks that are measured, rising, where the model's context holds them beside what is cached."""
    sizes = {max(1, int(by_shape * share)) for share in CHUNKS}
    return sorted(size for size in sizes if _num_cached(max_positions) + size <= max_positions)


def num_blocks(sizes: list[int], max_positions: int, cache: CacheShape) -> int:
    """Blocks that an executor needs for these chunks."""
    return cache.blocks(_num_cached(max_positions) + sizes[-1], CacheForm.HIDDEN)


def measured_switch(
    absorbing: Executor, rebuilding: Executor, sizes: list[int], max_positions: int, cache: CacheShape
) -> int:
    """The most new tokens for which absorbing is faster: chunks of these sizes run on both executors in turn.

    Parameters
    ----------
    absorbing, rebuilding : Executor
        Of one model: the first absorbs attention of all these chunks, the second rebuilds K and V for each.
    sizes : list of int
        As `chunk_sizes` has them, at least one.
    max_positions : int
        Those of the model.
    cache : CacheShape
    """
    cached = _num_cached(max_positions)
    seconds = []
    for size in sizes:
        chunk = uniform_batch(1, cached, size, CacheForm.HIDDEN, cache)
        turns = in_turn([(absorbing, chunk), (rebuilding, chunk)], size, MAX_FED)
        seconds.append(np.median(turns, axis=0))
    return crossing(sizes, np.array(seconds))


def crossing(sizes: list[int], seconds: npt.NDArray[np.float64]) -> int:
    """Where lines through the seconds of absorbing and rebuilding, [chunks, 2], over the chunks' tokens cross.

    Absorbing costs each cached token and new token some time, rebuilding each cached token: both are lines over the new
    tokens. Chunks count by the relative error. At least 1, as a decode is absorbed, and at most the largest chunk.
    """
    scale = 1 / seconds.sum(axis=1)
    if len(sizes) == 1:
        return sizes[0] if seconds[0, 0] <= seconds[0, 1] else 1
    rows = np.array([[1.0, size] for size in sizes]) * scale[:, None]
    at_0, slope = np.linalg.lstsq(rows, (seconds[:, 0] - seconds[:, 1]) * scale, rcond=None)[0]
    if slope <= 0:  # the longer the chunk, the more is gained
        return sizes[-1] if at_0 + slope * sizes[-1] <= 0 else 1
    return round(min(max(1.0, float(-at_0 / slope)), sizes[-1]))


def _num_cached(max_positions: int) -> int:
    return min(CACHED, max_positions // 2)
