"""The columns of a trace file as they grow, row by row, and the trace that they make."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np

from aptsched.support.errors import InputError
from aptsched.support.plural import how_many
from aptsched.workload import cells
from aptsched.workload.own_columns import OwnRefused, OwnRows
from aptsched.workload.trace import Trace

MAX_SPAN_S = 1e9  # 31 years, in which float seconds still tell 0.2 us apart


@dataclass
class Rows:
    """The columns as compact arrays, for real traces have millions of rows.

    Attributes
    ----------
    times : array of float or int
        Arrivals in any unit, from any origin; empty where only lengths are known.
    most : int or None
        How many requests are enough; None for all.
    prompts, outputs : array of int
        Tokens.
    num_dropped : int
        Rows left out.
    own : OwnRows
        What the rows say of themselves beside these.
    """

    times: array[float] | array[int]
    most: int | None = None
    prompts: array[int] = field(default_factory=lambda: array("q"))
    outputs: array[int] = field(default_factory=lambda: array("q"))
    num_dropped: int = 0
    own: OwnRows = field(default_factory=OwnRows)

    @property
    def are_enough(self) -> bool:
        """Whether no more rows are needed."""
        return self.most is not None and len(self.prompts) >= self.most

    def append(self, time: float | None, prompt: int, output: int, own: Mapping[str, object]) -> None:
        """Add a request, or count it as left out where it has no prompt; `own` has the cells of its own columns."""
        if not prompt:
            self.num_dropped += 1
            return
        self.own.append(own)
        if time is not None:
            self.times.append(time)  # type: ignore[arg-type]  # the format's parser gives what its array holds
        self.prompts.append(prompt)
        self.outputs.append(output)

    def trace(self, path: str, units_per_s: int, notices: Sequence[str]) -> Trace:
        """The trace, its first arrival at 0; `notices` are the reader's own, and come first."""
        if not self.prompts:
            left_out = (
                f" ({how_many(self.num_dropped, 'row')} without prompt tokens left out)" if self.num_dropped else ""
            )
            raise InputError(f"{path}: no requests under the header{left_out}; at least one is needed")
        times = np.asarray(self.times)
        arrived = (times - times.min()) / units_per_s if times.size else None
        if arrived is not None and arrived.max() > MAX_SPAN_S:
            raise InputError(
                f"{path}: arrivals {arrived.max():.3g} s apart are not accepted; up to {MAX_SPAN_S:g} s are"
            )
        said = (*notices, *self._notices())
        return Trace(
            arrived, np.asarray(self.prompts), np.asarray(self.outputs), self.num_dropped, said, self.own.own_columns()
        )

    def _notices(self) -> Iterator[str]:
        if self.num_dropped:
            total = len(self.prompts) + self.num_dropped
            yield f"Rows of the trace without prompt tokens, which were left out: {self.num_dropped} of {total}."
        if (np.diff(np.asarray(self.times)) < 0).any():
            yield "The rows of the trace are not in order of arrival: those that were read are sorted."


def add_row(
    rows: Rows,
    path: str,
    line: int,
    time: float | None,
    prompt: int,
    output: int,
    own: Mapping[str, object],
    called: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Add a request of a file's line; a value of its own columns that is not accepted is a bad row.

    `called` has the name of a column in the file, where that is another.
    """
    try:
        rows.append(time, prompt, output, own)
    except OwnRefused as refusal:
        name = called.get(refusal.column, refusal.column)
        raise cells.bad_row(path, line, name, own[refusal.column], str(refusal)) from None
