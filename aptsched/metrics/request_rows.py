"""requests.csv: a row for each request of each run, written and read.

The columns are described in docs/formats.md.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from aptsched.metrics.latencies import FLAGS, of_part
from aptsched.scheduling.columns import COUNTS, IdentityColumns, LabelColumns, dtypes
from aptsched.scheduling.record import RequestRecord
from aptsched.scheduling.records import MANY, in_parts
from aptsched.support.checks import Floats
from aptsched.support.errors import InputError

Run = tuple[str, float, Sequence[RequestRecord], Floats | None]
RUN = ("policy", "rate_per_s")
IDENTITY = dtypes(IdentityColumns, LabelColumns)
PLAIN: dict[type[np.generic], Callable[[Any], Any]] = {np.int64: int, np.float64: float}
OBJECTIVES = ("slo_ttft_s", "slo_tpot_s")
MEASURED = (
    *("ttft_s", "p99_tbt_s", "max_tbt_s", "max_lateness_s", "fluidity"),
    *("last_token_at_s", "latency_s", "num_tokens"),
)
COLUMNS = (*RUN, *IDENTITY, *OBJECTIVES, "alone_s", "outcome", *MEASURED, *FLAGS, *COUNTS, "reason")
HEADER = ",".join(COLUMNS) + "\n"
WHOLE = tuple(name for name, dtype in IDENTITY.items() if dtype is np.int64)
QUOTE = '"'
DIGITS = 15  # the most that a whole number has


def as_csv(runs: Iterable[Run]) -> str:
    """The text of all rows."""
    return "".join(csv_parts(runs))


def csv_parts(runs: Iterable[Run]) -> Iterator[str]:
    """The rows of runs, each a policy, a rate, its records and how long each of these would take alone, if known.

    A cell is empty where there is no value. The text comes in parts, for what is too much to hold.
    """
    yield HEADER
    for policy, rate_per_s, records, alone_s in runs:
        alone = np.broadcast_to(math.nan, len(records)) if alone_s is None else alone_s
        for number, part in enumerate(in_parts(records)):
            of_alone = alone[number * MANY :][: len(part)].tolist()
            yield "".join(_rows((policy, float(rate_per_s)), part, of_alone))


def _rows(run: tuple[str, float], records: Sequence[RequestRecord], alone_s: Sequence[float]) -> Iterator[str]:
    """The line of each record."""
    each = of_part(records)
    columns = [getattr(each, name).tolist() for name in (*MEASURED, *FLAGS)]
    for record, of_alone, *values in zip(records, alone_s, *columns, strict=True):
        identity = (PLAIN[dtype](getattr(record, name)) for name, dtype in IDENTITY.items())
        objectives = (float(record.slo.ttft_s), float(record.slo.tpot_s), float(of_alone))
        counts = (getattr(record, name) for name in COUNTS)
        cells = (*run, *identity, *objectives, record.outcome.value, *values, *counts, record.reason)
        yield ",".join(_quoted(_cell(cell)) for cell in cells) + "\n"


def rows(text: str) -> Iterator[tuple[int, dict[str, Any] | InputError]]:
    """The rows as plain values, None for an empty cell, or what is wrong with one; each with the number of its line.

    Numbers and flags are accepted as `as_csv` writes them. The rows end at the first line that is no CSV.
    """
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield reader.line_num, InputError(f"row: not CSV ({error})")
            return
        if reader.line_num == 1:
            if tuple(cells) != COLUMNS:
                yield 1, InputError(f"header: {','.join(cells)!r:.60} is not accepted; {HEADER.strip()} is")
                return
            continue
        try:
            yield reader.line_num, _row(cells)
        except InputError as error:
            yield reader.line_num, error


def _row(cells: Sequence[str]) -> dict[str, Any]:
    if len(cells) != len(COLUMNS):
        raise InputError(f"row: {len(cells)} cells are not accepted; {len(COLUMNS)} are")
    return {name: _read(name, cell) for name, cell in zip(COLUMNS, cells, strict=True)}


def _read(name: str, cell: str) -> Any:
    """The value of a cell, read as the type of its column."""
    read, accepted = KINDS.get(name, (_seconds, "a number, or nothing,"))
    try:
        value = read(cell)
        if _cell(value) == cell:
            return value
    except ValueError:
        pass
    raise InputError(f"{name}: {cell!r:.60} is not accepted; {accepted} is, as it is written")


def _whole(cell: str) -> int:
    if len(cell) > DIGITS:
        raise ValueError(cell)
    return int(cell)


def _seconds(cell: str) -> float | None:
    if cell == "":
        return None
    if not math.isfinite(value := float(cell)):
        raise ValueError(cell)
    return value


def _flag(cell: str) -> bool:
    return bool(("0", "1").index(cell))


def _cell(value: object) -> str:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return str(int(value) if isinstance(value, bool) else value)


def _quoted(cell: str) -> str:
    """Quote a cell as csv.writer does, and also one with a carriage return, which csv.reader takes for a row's end."""
    return f'"{cell.replace(QUOTE, 2 * QUOTE)}"' if any(character in cell for character in '",\r\n') else cell


Kind = tuple[Callable[[str], Any], str]
KINDS: dict[str, Kind] = {
    **dict.fromkeys(("policy", "outcome", "reason"), (str, "text")),
    **dict.fromkeys((*WHOLE, "num_tokens", *COUNTS), (_whole, "a whole number")),
    **dict.fromkeys(FLAGS, (_flag, "0 or 1")),
}
