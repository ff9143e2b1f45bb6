"""How long iterations take on this device with this model: measured, fitted, and kept in a file."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from aptsched.scheduling.forms import CacheForm, CacheShape
from aptsched.scheduling.iteration_time import IterationTime
from aptsched.support import fields, files
from aptsched.support.checks import MAX_COUNT, MAX_DURATION_S, Floats, Ints
from aptsched.support.errors import InputError
from aptsched.support.json_text import read_json
from engine.state.batch import Batch, Copies, Executor
from engine.state.request import Request

SCHEMA, VERSION = "aptsched.calibration", 1
# Most of these are rounded up a little to the rows of a kernel, as iterations are (`engine.models.matmul.padded`).
DECODES = ((1, 64), (4, 128), (8, 256), (16, 128), (31, 128), (8, 512), (4, 1024))  # requests, tokens cached of each
PREFILLS = (16, 64, 123, 247, 495, 1000)  # tokens of a prompt
REPEATS = 5
MAX_FED = 1024  # tokens, all runs of a prefill together: a long one says as much in one run as a short one in five
MAX_REBUILT = 8192  # tokens, all runs of a decode in hidden form together
SWAPPED = 16  # blocks that are copied to the host and back
LEAST_S = 1e-9  # of a measurement that a file has


@dataclass(frozen=True)
class Point:
    """One kind of iteration, measured.

    Attributes
    ----------
    num_tokens, num_context_tokens, num_hidden_kv_blocks : int
        As in `IterationTime.predict`.
    seconds : float
        The median of the repeats.
    extra_s : float
        Of hidden requests: what the iteration takes more than with the same requests in KV form, the median of pairs.
    """

    num_tokens: int
    num_context_tokens: int
    num_hidden_kv_blocks: int
    seconds: float
    extra_s: float = 0.0


@dataclass(frozen=True)
class Calibration:
    """What was measured, and the times fitted to it.

    Attributes
    ----------
    model, device, dtype : str
    times : IterationTime
    r_squared : float
        Of the line through the origin from blocks m of hidden requests to the extra time: its slope is rho. nan where
        the model has no hidden form.
    points : tuple of Point
    swap_s_per_block : float
        Of each block copied between the pool and the host; 0 where that was not measured.
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
    """Measure an executor whose pool has so many blocks; what is in it is overwritten.

    Each kind of iteration is run `REPEATS` times after a warm-up, the longest fewer times. A decode of hidden
    requests alternates with the same decode in KV form, so that a machine whose speed drifts does not tilt the
    difference.

    Parameters
    ----------
    executor : Executor
    cache : CacheShape
    num_blocks, max_positions : int
        What the pool and the model can hold: larger measurements are left out.
    names : model, device, dtype
    num_host_blocks : int
        On the host, for what swapping takes; that is left out where there are fewer than `SWAPPED`.
    progress : function
        Told how many measurements are done, how many there are, and which is next.

    Raises
    ------
    InputError
        The pool is too small to measure anything.

    Source: Apt-Serve, section 5: rho is calibrated offline, here with a regression over many iterations.
    """
    points: list[Point] = []
    prefills = [count for count in PREFILLS if _fits(1, count, cache, num_blocks, max_positions)]
    decodes = [each for each in DECODES if _fits(each[0], each[1] + 1, cache, num_blocks, max_positions)]
    swaps = num_blocks >= SWAPPED <= num_host_blocks
    total, num_done = len(prefills) + len(decodes) + swaps, itertools.count()
    for count in prefills:
        progress(next(num_done), total, f"prefill of {count} tokens")
        batch = uniform_batch(1, 0, count, CacheForm.KV, cache)
        points.append(Point(count, 0, 0, _seconds(executor, batch)))
    for size, cached in decodes:
        progress(next(num_done), total, f"decode of {size} x {cached} tokens cached")
        kv = uniform_batch(size, cached, 1, CacheForm.KV, cache)
        if not cache.offers_hidden:
            points.append(Point(size, size * cached, 0, _seconds(executor, kv)))
            continue
        hidden = uniform_batch(size, cached, 1, CacheForm.HIDDEN, cache)
        pairs = _pairs(executor, kv, hidden)
        kv_s, extra_s = float(np.median(pairs[:, 0])), float(np.median(pairs[:, 1] - pairs[:, 0]))
        blocks = size * cache.blocks(cached + 1, CacheForm.KV)
        points.append(Point(size, size * cached, 0, kv_s))
        points.append(Point(size, size * cached, blocks, float(np.median(pairs[:, 1])), extra_s))
    if len(points) < 4:
        raise InputError(f"num_blocks: {num_blocks} is not accepted; enough for prompts of a few hundred tokens are")
    swap_s = 0.0
    if swaps:
        progress(next(num_done), total, f"{SWAPPED} blocks to the host and back")
        swap_s = _swap_s_per_block(executor)
    times, r_squared = fit(points)
    return Calibration(*names, times, r_squared, tuple(points), swap_s)


def fit(points: Sequence[Point]) -> tuple[IterationTime, float | None]:
    """The times that fit the points best, none of them negative, and R^2 of rho's line through the origin."""
    plain = [point for point in points if not point.num_hidden_kv_blocks]
    rows = np.array([[1.0, point.num_tokens, point.num_context_tokens] for point in plain])
    seconds = np.array([point.seconds for point in plain])
    fixed_s, per_token_s, per_context_s = nonnegative(rows / seconds[:, None], np.ones(len(seconds)))
    hidden = [point for point in points if point.num_hidden_kv_blocks]
    if not hidden:
        return IterationTime(fixed_s, per_token_s, per_context_s), None
    blocks = np.array([point.num_hidden_kv_blocks for point in hidden], np.float64)
    extra_s = np.array([point.extra_s for point in hidden])
    rho = max(0.0, float(blocks @ extra_s / (blocks @ blocks)))
    spread = float(((extra_s - extra_s.mean()) ** 2).sum())
    r_squared = 1.0 - float(((extra_s - rho * blocks) ** 2).sum()) / spread if spread else 1.0
    return IterationTime(fixed_s, per_token_s, per_context_s, rho), r_squared


def nonnegative(rows: npt.ArrayLike, wanted: npt.ArrayLike) -> list[float]:
    """Least squares with coefficients of at least 0: the best over all subsets of the few columns."""
    rows, wanted = np.asarray(rows, np.float64), np.asarray(wanted, np.float64)
    best, best_error = np.zeros(rows.shape[1]), np.inf
    for chosen in range(1, 2 ** rows.shape[1]):
        columns = [c for c in range(rows.shape[1]) if chosen >> c & 1]
        found = np.linalg.lstsq(rows[:, columns], wanted, rcond=None)[0]
        error = float(((rows[:, columns] @ found - wanted) ** 2).sum())
        if (found >= 0).all() and error < best_error:
            best, best_error = np.zeros(rows.shape[1]), error
            best[columns] = found
    return [float(value) for value in best]


def _fits(size: int, num_tokens: int, cache: CacheShape, num_blocks: int, max_positions: int) -> bool:
    """Whether so many requests of so many tokens each can be held."""
    return num_tokens <= max_positions and size * cache.blocks(num_tokens, CacheForm.KV) <= num_blocks


def uniform_batch(size: int, cached: int, num_tokens: int, form: CacheForm, cache: CacheShape) -> Batch:
    """Requests of equal length; the cache holds whatever it holds, which takes as long to read as anything."""
    each = cache.blocks(cached + num_tokens, form)
    prompt = np.zeros(cached + num_tokens, np.int64)
    requests = [Request(i, 0.0, len(prompt), prompt_token_ids=prompt) for i in range(size)]
    table = np.arange(size * each).reshape(size, each)
    counts: Ints = np.full(size, num_tokens)
    return Batch(requests, np.full(size, cached), counts, np.full(size, form), table, np.ones(size, np.bool_))


def _seconds(executor: Executor, batch: Batch) -> float:
    """The median of what is measured after a warm-up, which the longest prefills do without."""
    num_runs = _num_runs(MAX_FED, int(batch.num_tokens.sum()))
    seconds = [executor.run(batch).duration_s for _ in range(num_runs)]
    return float(np.median(seconds[1:] or seconds))


def _pairs(executor: Executor, first: Batch, second: Batch) -> Floats:
    """Seconds of both, [repeats, 2], in turn, after a warm-up."""
    num_runs = max(2, _num_runs(MAX_REBUILT, int(second.start.sum())))
    seconds = [[executor.run(batch).duration_s for batch in (first, second)] for _ in range(num_runs)]
    return np.array(seconds[1:])


def _swap_s_per_block(executor: Executor) -> float:
    """Seconds of each block copied, as often to the host as back: the median after a warm-up."""
    blocks, none = np.arange(SWAPPED), np.empty(0, np.int64)
    copies = Copies(blocks, blocks)
    idle = Batch((), none, none, none, none.reshape(0, 0), none.astype(np.bool_))
    both = [replace(idle, swap_out=copies), replace(idle, swap_in=copies)]
    seconds = [sum(executor.run(batch).duration_s for batch in both) for _ in range(REPEATS + 1)]
    return float(np.median(seconds[1:])) / (2 * SWAPPED)


def _num_runs(max_tokens: int, num_tokens: int) -> int:
    return min(REPEATS + 1, max(1, max_tokens // num_tokens))


def save(calibration: Calibration, path: str | os.PathLike[str]) -> None:
    """Write a calibration as JSON; docs/formats.md has the schema."""
    files.write(path, as_json(calibration))


def as_json(calibration: Calibration) -> str:
    """A calibration as JSON."""
    document = {"schema": SCHEMA, "version": VERSION, **asdict(calibration)}
    return json.dumps(document, indent=1, allow_nan=False) + "\n"


def load(path: str | os.PathLike[str]) -> Calibration:
    """Read a calibration.

    Raises
    ------
    InputError
        The file is no calibration: what is wrong with it.
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
    seconds = fields.named("times", document["times"], asdict(IterationTime()))
    times = {name: fields.number(f"times: {name}", value, 0, MAX_DURATION_S) for name, value in seconds.items()}
    r_squared = document["r_squared"]
    r_squared = None if r_squared is None else fields.number("r_squared", r_squared, -1e9, 1)
    given = fields.listed("points", document["points"])
    points = tuple(_point(f"points[{i}]", point) for i, point in enumerate(given))
    swap_s = fields.number("swap_s_per_block", document.get("swap_s_per_block", 0.0), 0, MAX_DURATION_S)
    return Calibration(model, device, dtype, IterationTime(**times), r_squared, points, swap_s)


def _point(what: str, given: object) -> Point:
    counts = {"num_tokens": 1, "num_context_tokens": 0, "num_hidden_kv_blocks": 0}
    found = fields.named(what, given, (*counts, "seconds"), ("extra_s",))
    fed, cached, hidden = (
        fields.whole(f"{what}: {name}", found[name], least, MAX_COUNT) for name, least in counts.items()
    )
    seconds = fields.number(f"{what}: seconds", found["seconds"], LEAST_S, MAX_DURATION_S)
    extra_s = fields.number(f"{what}: extra_s", found.get("extra_s", 0.0), -MAX_DURATION_S, MAX_DURATION_S)
    return Point(fed, cached, hidden, seconds, extra_s)
