"""The columns of a trace file as they grow, row by row, and the trace that they make."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field

import numpy as np

from aptsched.errors import InputError
from aptsched.workload.trace import Trace


@dataclass
class Rows:
    """Compact columns, for real traces have millions of rows.

    Attributes
    ----------
    times : array of float or int
        Arrivals in any unit, from any origin; empty where only lengths are known.
    prompts, outputs : array of int
        Tokens.
    num_dropped : int
        Rows left out.
    """

    times: array[float] | array[int]
    prompts: array[int] = field(default_factory=lambda: array("q"))
    outputs: array[int] = field(default_factory=lambda: array("q"))
    num_dropped: int = 0

    def append(self, time: float | None, prompt: int, output: int) -> None:
        """Add a request, or count it as left out where it has no prompt."""
        if not prompt:
            self.num_dropped += 1
            return
        if time is not None:
            self.times.append(time)  # type: ignore[arg-type]  # the format's parser gives what its array holds
        self.prompts.append(prompt)
        self.outputs.append(output)

    def trace(self, path: str, units_per_s: int) -> Trace:
        """The trace, its first arrival at 0."""
        if not self.prompts:
            left_out = f" ({self.num_dropped} rows without prompt tokens are left out)" if self.num_dropped else ""
            raise InputError(f"{path}: no requests under the header{left_out}; at least one is needed")
        times = np.asarray(self.times)
        arrived = (times - times.min()) / units_per_s if times.size else None
        return Trace(arrived, np.asarray(self.prompts), np.asarray(self.outputs), self.num_dropped, self._notices())

    def _notices(self) -> tuple[str, ...]:
        if not self.num_dropped:
            return ()
        total = len(self.prompts) + self.num_dropped
        return (f"{self.num_dropped} of {total} rows of the trace have no prompt tokens and were left out.",)
