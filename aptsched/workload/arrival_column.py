"""Finds the column of arrivals in a trace that has our names for the lengths, but another name for the arrivals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aptsched.support.errors import InputError
from aptsched.workload import cells, time_names
from aptsched.workload.cells import ParseTime
from aptsched.workload.time_names import Kind

CERTAIN = (
    "arrived_at_s, in seconds, is accepted, or one column such as timestamp_ms, with its unit in the name, or "
    "timestamp, with dates and times"
)
UNIT_NAMES = {1: "seconds", 10**3: "milliseconds", 10**6: "microseconds", 10**9: "nanoseconds"}


@dataclass(frozen=True)
class ArrivalColumn:
    """A column of arrivals that goes by another name than ours.

    Attributes
    ----------
    name : str
    parse : callable
        From a cell to a number of units, or `cells.Refused`.
    typecode : str
        Of the array that holds the times.
    units_per_s : int
    """

    name: str
    parse: ParseTime
    typecode: str
    units_per_s: int

    @property
    def has_dates(self) -> bool:
        """Whether the values are dates and times, not numbers."""
        return self.parse is cells.ticks_without_unit

    @property
    def notice(self) -> str:
        """One line that says which column is taken for the arrivals, and its unit."""
        unit = "as dates and times" if self.has_dates else f"in {UNIT_NAMES[self.units_per_s]}"
        return f"Arrivals are those of the column {cells.named_columns([self.name])}, {unit}."


def find_arrivals(where: str, names: Sequence[str]) -> ArrivalColumn | None:
    """The arrivals among columns of no known format, or None where no name looks like a time.

    The unit has to be certain: by the name (`timestamp_ms`), or because the values are dates and times.

    Raises
    ------
    InputError
        Several columns look like arrivals, or one looks like a time and may not be that of arrival: otherwise drawn
        arrivals would silently replace those of the file.
    """
    arrivals = [name for name in names if time_names.kind(name) is Kind.ARRIVAL]
    if len(arrivals) > 1:
        raise InputError(f"{where}: {cells.named_columns(arrivals)} are several times of arrival; {CERTAIN}")
    if arrivals:
        return _column(arrivals[0])
    others = [name for name in names if time_names.kind(name) is Kind.TIME]
    if others:
        what = f"{cells.named_columns(others)}: looks like a time, but not certainly the arrival in a known unit"
        raise InputError(f"{where}, column {what}; {CERTAIN}")
    return None


def _column(name: str) -> ArrivalColumn:
    units_per_s = time_names.units_per_s(name)
    if units_per_s is None:
        return ArrivalColumn(name, cells.ticks_without_unit, "q", cells.TICKS_PER_S)
    return ArrivalColumn(name, cells.since_first(), "d", units_per_s)
