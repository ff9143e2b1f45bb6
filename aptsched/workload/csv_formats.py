"""CSV traces: ours, Azure's LLM inference traces, BurstGPT's, and what ServeGen generates."""

from __future__ import annotations

import csv
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, replace

from aptsched.support.errors import InputError
from aptsched.support.shown import shown
from aptsched.workload import arrival_column, cells
from aptsched.workload.arrival_column import ArrivalColumn
from aptsched.workload.cells import ParseTime
from aptsched.workload.own_columns import OWN
from aptsched.workload.rows import Rows, add_row
from aptsched.workload.trace import Trace


@dataclass(frozen=True)
class CsvFormat:
    """The columns of a format and how they are read.

    Attributes
    ----------
    time, prompt, output : str
        Column names. Upper and lower case are not told apart.
    parse_time : callable
        From a cell to a number of units, or `cells.Refused`.
    typecode : str
        Type of the array that holds the times.
    units_per_s : int
    has_lengths_alone : bool
        Whether the time column may be absent.
    drops_empty : bool
        Whether a row of 0 prompt tokens is left out and counted, not refused.
    without_use : tuple of str
        Further columns of the format that say nothing of arrivals and lengths: they are ignored without a notice.
        Every other unused column is named in a notice.
    """

    time: str
    prompt: str
    output: str
    parse_time: ParseTime
    typecode: str = "d"
    units_per_s: int = 1
    has_lengths_alone: bool = False
    drops_empty: bool = False
    without_use: tuple[str, ...] = ()

    def matches(self, names: list[str]) -> bool:
        """Whether a header has the columns of this format."""
        needed = [self.prompt, self.output] if self.has_lengths_alone else [self.time, self.prompt, self.output]
        return all(name.lower() in names for name in needed)

    def with_arrivals(self, column: ArrivalColumn) -> CsvFormat:
        """The format with its arrivals in another column."""
        return replace(
            self,
            time=column.name,
            parse_time=column.parse,
            typecode=column.typecode,
            units_per_s=column.units_per_s,
        )


FORMATS = (
    CsvFormat("arrived_at_s", "prompt_tokens", "output_tokens", cells.seconds, has_lengths_alone=True),
    CsvFormat("TIMESTAMP", "ContextTokens", "GeneratedTokens", cells.ticks, "q", cells.TICKS_PER_S),
    CsvFormat(
        "Timestamp",
        "Request tokens",
        "Response tokens",
        cells.seconds,
        drops_empty=True,
        without_use=("Session ID", "Elapsed time", "Model", "Total tokens", "Log Type"),
    ),
    CsvFormat("timestamp", "input_tokens", "output_tokens", cells.seconds, without_use=("request_id",)),
)
ACCEPTED = (
    "CSV with the columns prompt_tokens, output_tokens (and arrived_at_s), or TIMESTAMP, ContextTokens, "
    "GeneratedTokens (Azure), or Timestamp, Request tokens, Response tokens (BurstGPT), or timestamp, input_tokens, "
    "output_tokens (ServeGen), and JSON lines with timestamp, input_length, output_length (Mooncake, vLLM, Bailian) "
    "are accepted"
)


def read_csv(path: str, lines: Iterator[str], first_line: int, most: int | None) -> Trace:
    """The trace in CSV lines, of which the first, number `first_line` of the file, is the header.

    Of a trace with arrivals no more than `most` requests are read.
    """
    reader = csv.reader(lines, strict=True)
    try:
        header = next(reader)
        chosen, columns, notices = _columns(f"{path}, line {first_line}", header)
        rows = Rows(array(chosen.typecode), most if chosen.time in columns else None)
        for row in reader:
            if len(row) > 1 or (row and row[0].strip()):
                _append(rows, chosen, columns, row, len(header), path, first_line + reader.line_num - 1)
                if rows.are_enough:
                    break
    except csv.Error as error:
        where = f"{path}, line {first_line + reader.line_num - 1}"
        raise InputError(f"{where}: not a CSV row ({error}); cells separated by commas are accepted") from error
    return rows.trace(path, chosen.units_per_s, notices)


def _columns(where: str, header: list[str]) -> tuple[CsvFormat, dict[str, int], list[str]]:
    """The format of a header, the index of each column of the format, and the names of columns that are not used."""
    names = [name.strip().lower() for name in header]
    chosen = next((known for known in FORMATS if known.matches(names)), None)
    if chosen is None:
        raise InputError(f"{where}: the header {shown(','.join(header))} is not known; {ACCEPTED}")
    notices = []
    column = (
        None if chosen.time.lower() in names else arrival_column.find_arrivals(where, [name.strip() for name in header])
    )
    if column is not None:
        chosen = chosen.with_arrivals(column)
        notices.append(column.notice)
    wanted = [name for name in (chosen.time, chosen.prompt, chosen.output, *OWN) if name.lower() in names]
    for name in wanted:
        if names.count(name.lower()) > 1:
            raise InputError(f"{where}, column {name}: given twice in the header; once is accepted")
    used = {name.lower() for name in (*wanted, *chosen.without_use)}
    unused = [name.strip() for name in header if name.strip().lower() not in used]
    if unused:
        notices.append(f"Columns of the trace that are not known, and not used: {cells.named_columns(unused)}.")
    return chosen, {name: names.index(name.lower()) for name in wanted}, notices


def _append(
    rows: Rows, chosen: CsvFormat, columns: dict[str, int], row: list[str], width: int, path: str, line: int
) -> None:
    if len(row) != width:
        accepted = f"a row of {width} cells, as in the header,"
        raise cells.bad_row(path, line, str(min(len(row), width) + 1), ",".join(row), accepted)
    name = chosen.prompt
    try:
        prompt = cells.count(row[columns[name]], 0 if chosen.drops_empty else 1)
        name = chosen.output
        output = cells.count(row[columns[name]], 0)
        name = chosen.time
        time = chosen.parse_time(row[columns[name]]) if name in columns else None
    except cells.Refused as refusal:
        raise cells.bad_row(path, line, name, row[columns[name]], str(refusal)) from None
    add_row(rows, path, line, time, prompt, output, {name: row[columns[name]] for name in OWN if name in columns})
