"""Requests drawn from ServeGen's published data of clients: rates and bursts by 10 minutes, lengths by 6 hours."""

from __future__ import annotations

import ast
import math
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from aptsched.support import checks, files
from aptsched.support.checks import Floats, Ints
from aptsched.support.errors import InputError
from aptsched.support.json_text import read_json
from aptsched.support.plural import how_many
from aptsched.support.shown import shown
from aptsched.workload import cells
from aptsched.workload.own_columns import OwnColumns
from aptsched.workload.trace import Trace

RATES = re.compile(r"chunk-(\d+)-trace\.csv")
WINDOW_S = 600  # of a client's rate and pattern
LENGTHS = ("input_tokens", "output_tokens")
MIN_SHAPE = 0.005  # of the distribution of gaps; those that are published are from 0.0099 to 365
TINY = np.finfo(np.float64).tiny  # so that gaps of the smallest shapes, which are 0 in floats, have a sum
MAX_REQUESTS = 10_000_000
PATTERNS: Mapping[str, Callable[[np.random.Generator, float, int], Floats]] = {  # gaps of a shape, in any unit
    "Gamma": lambda rng, shape, num: rng.standard_gamma(shape, num),
    "Weibull": lambda rng, shape, num: rng.weibull(shape, num),
}


@dataclass(frozen=True)
class Window:
    """Ten minutes of a client: arrivals a second, and the name and shape of the distribution of the gaps."""

    start_s: int
    rate_per_s: float
    pattern: str
    shape: float


@dataclass(frozen=True, eq=False)
class Counts:
    """Numbers of tokens, rising, and the share of requests with at most so many, both [n]."""

    values: Ints
    cumulated: Floats

    def drawn(self, rng: np.random.Generator, num: int) -> Ints:
        """So many numbers."""
        place = np.searchsorted(self.cumulated, rng.random(num) * self.cumulated[-1], side="right")
        found: Ints = self.values[np.minimum(place, len(self.values) - 1)]
        return found


def draw_servegen(
    directory: str | os.PathLike[str], start_s: float, duration_s: float, rng: np.random.Generator
) -> Trace:
    """Requests as the clients of a ServeGen model sent them, for some time out of its two weeks.

    Reads `chunk-I-trace.csv` and `chunk-I-dataset.json` of each client I, as they are published for models of language
    and of reasoning, without ServeGen's own code. A client's gaps are independent, Gamma or Weibull with the shape of
    each 10 minutes, and scaled to fill these with as many requests as its rate says. Its lengths are drawn from the
    last 6 hours that have any, prompt and output independently, for only their own distributions are published. Each
    client is a tenant. For another rate, `simulate(trace=draw_servegen(...), rate=2)` draws out all gaps.

    Parameters
    ----------
    directory : path
        Such as data/language/m-large.
    start_s : float
        When the trace begins, in seconds since the midnight at which the data do.
    duration_s : float
    rng : Generator

    Returns
    -------
    Trace
        The first possible arrival is at 0.

    Raises
    ------
    InputError
        Names file, line and value; or nobody comes in this time, or more than 10 million would.

    Source: ServeGen (arXiv 2505.09999), section 6, and the README of its data.
    """
    start_s, duration_s = checks.seconds("start", start_s), checks.seconds("duration", duration_s, above_0=True)
    drawn, num_without = list[tuple[int, Floats, Ints, Ints]](), 0
    for number, path in _clients(Path(directory)):
        windows = [each for each in _windows(path) if start_s - WINDOW_S < each.start_s < start_s + duration_s]
        if sum(each.rate_per_s for each in windows) * WINDOW_S > MAX_REQUESTS:
            raise InputError(f"{path}: over {MAX_REQUESTS} requests in {duration_s:g} s are not accepted; less time is")
        lengths = _lengths(path.with_name(f"chunk-{number}-dataset.json")) if windows else {}
        for window in windows:
            known = [at_s for at_s in lengths if at_s <= window.start_s]
            if not known:
                num_without += 1
                continue
            at_s = _arrivals(window, rng) - start_s
            at_s = at_s[(at_s >= 0) & (at_s < duration_s)]
            prompts, outputs = (each.drawn(rng, len(at_s)) for each in lengths[known[-1]])
            drawn.append((number, at_s, np.maximum(prompts, 1), outputs))
    return _trace(str(directory), drawn, num_without)


def _clients(directory: Path) -> list[tuple[int, Path]]:
    """The number and the file of rates of each client, by number."""
    try:
        found = [(int(match[1]), path) for path in directory.iterdir() if (match := RATES.fullmatch(path.name))]
    except OSError as error:
        raise InputError(f"{directory}: cannot be read ({error.strerror}); a directory of ServeGen is") from error
    if not found:
        raise InputError(f"{directory}: no chunk-1-trace.csv or the like; a model's directory of ServeGen is accepted")
    return sorted(found)


def _windows(path: Path) -> Iterator[Window]:
    """The windows of a client in which it sends any: start, rate, CV, pattern, its shape and its scale."""
    for number, line in enumerate(files.read_text(path).splitlines(), 1):
        row = line.split(",")
        if len(row) != 6:
            raise cells.bad_row(str(path), number, str(min(len(row), 6) + 1), line, "a row of 6 cells")
        name, value = "start", row[0]
        try:
            start_s = cells.count(value, 0)
            name, value = "rate", row[1]
            rate_per_s = cells.seconds(value)
            if not rate_per_s or not row[3]:
                continue
            name, value = "pattern", row[3]
            if value not in PATTERNS:
                raise cells.Refused(" or ".join(PATTERNS))
            name, value = "shape", row[4]
            shape = cells.seconds(value)
            if not MIN_SHAPE <= shape <= 1 / MIN_SHAPE:
                raise cells.Refused(f"a number from {MIN_SHAPE:g} to {1 / MIN_SHAPE:g}")
        except cells.Refused as refusal:
            raise cells.bad_row(str(path), number, name, value, str(refusal)) from None
        yield Window(start_s, rate_per_s, row[3], shape)


def _lengths(path: Path) -> dict[int, list[Counts]]:
    """The numbers of prompt and output tokens of a client by when they begin, in order; windows that have none are not.

    Each is the text of a mapping from numbers of tokens to shares of requests.
    """
    document = read_json(path)
    if not isinstance(document, dict):
        raise InputError(f"{path}: {shown(document)} is not accepted; an object is")
    found = dict[int, list[Counts]]()
    for start, fields in document.items():
        try:
            start_s = cells.count(start, 0)
        except cells.Refused:
            fields = None
        if not isinstance(fields, dict):
            raise InputError(f"{path}: {shown(start)}: not accepted; seconds, each with an object, are")
        if all(isinstance(fields.get(name), str) and fields[name].strip() == "{}" for name in LENGTHS):
            continue
        found[start_s] = [_counts(f"{path}: {start}, {name}", fields.get(name)) for name in LENGTHS]
    return dict(sorted(found.items()))


def _counts(where: str, given: Any) -> Counts:
    try:
        shares = dict(ast.literal_eval(given).items())
        values = np.array([cells.count(value, 0) for value in shares], np.int64)
        weights = np.array([cells.seconds(value) for value in shares.values()])
        if not 0 < sum(weights.tolist()) < math.inf:
            raise ValueError
    except (ValueError, TypeError, AttributeError, SyntaxError, MemoryError, RecursionError, cells.Refused) as error:
        accepted = 'text such as "{81: 0.25, 90: 0.75}", numbers of tokens with shares,'
        raise InputError(f"{where}: {shown(given)} is not accepted; {accepted} is") from error
    order = np.argsort(values)
    return Counts(values[order], np.cumsum(weights[order]))


def _arrivals(window: Window, rng: np.random.Generator) -> Floats:
    """The arrivals within a window: as many as its rate says, with gaps of its shape that fill it."""
    num = math.floor(WINDOW_S * window.rate_per_s + rng.random())
    at = np.cumsum(PATTERNS[window.pattern](rng, window.shape, num + 1) + TINY)
    arrived_at_s: Floats = window.start_s + WINDOW_S * at[:-1] / at[-1]
    return arrived_at_s


def _trace(directory: str, drawn: Sequence[tuple[int, Floats, Ints, Ints]], num_without: int) -> Trace:
    if not sum(len(at_s) for _, at_s, _, _ in drawn):
        raise InputError(f"{directory}: no client sends a request in this time; one in which some do is accepted")
    numbers = [number for number, at_s, _, _ in drawn for _ in range(len(at_s))]
    found, tenant = np.unique(numbers, return_inverse=True)
    at_s, prompts, outputs = (np.concatenate([each[at] for each in drawn]) for at in (1, 2, 3))
    said = f"Windows of ten minutes of a client without lengths, left out: {how_many(num_without, 'window')}."
    own = OwnColumns(tenant=tenant.astype(np.int64), tenants=tuple(f"client {number}" for number in found))
    return Trace(at_s, prompts, outputs, notices=(said,) if num_without else (), own=own)
