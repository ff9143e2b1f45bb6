"""A request trace: lengths, and arrivals where they are known."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from aptsched.support import checks
from aptsched.support.checks import Floats, Ints
from aptsched.support.errors import InputError
from aptsched.workload.own_columns import OwnColumns

NONE_OF_THEIR_OWN = OwnColumns()


@dataclass(frozen=True, eq=False, init=False)
class Trace:
    """Requests in order of arrival.

    Parameters
    ----------
    arrived_at_s : array_like of float, [r], or None
        Arrival times in seconds, finite and at least 0; None where only lengths are known. Unsorted arrivals are
        sorted on construction, lengths with them, and requests that arrive together keep their order.
    prompt_tokens : array_like of int, [r]
        At least 1 each: a request without a prompt has nothing to prefill.
    output_tokens : array_like of int, [r]
        At least 0 each: a request that failed or was cut off generated nothing, but it came and waited.
    num_dropped : int
        Rows of the file that are no request of the trace (see `read_trace`).
    notices : tuple of str
        A line for each thing in the file that was not used, was changed, or was assumed when it was read.
    own : OwnColumns
        Objectives of their own, tenants and priorities of the requests.

    Raises
    ------
    InputError
        Names the field, its value and what is accepted.

    Notes
    -----
    The arrays are read-only copies.
    """

    arrived_at_s: Floats | None
    prompt_tokens: Ints
    output_tokens: Ints
    num_dropped: int = 0
    notices: tuple[str, ...] = ()
    own: OwnColumns = NONE_OF_THEIR_OWN

    def __init__(
        self,
        arrived_at_s: npt.ArrayLike | None,
        prompt_tokens: npt.ArrayLike,
        output_tokens: npt.ArrayLike,
        num_dropped: int = 0,
        notices: tuple[str, ...] = (),
        own: OwnColumns = NONE_OF_THEIR_OWN,
    ) -> None:
        shape = checks.floats("prompt_tokens", prompt_tokens, ndim=1).shape
        columns: dict[str, Floats | Ints] = {
            "prompt_tokens": checks.counts("prompt_tokens", prompt_tokens, shape),
            "output_tokens": checks.counts("output_tokens", output_tokens, shape),
        }
        empty = np.flatnonzero(columns["prompt_tokens"] == 0)
        if empty.size:
            raise InputError(f"prompt_tokens[{empty[0]}]: 0 is not accepted; whole numbers from 1 to 2**32 are")
        own.check_rows(shape[0])
        if arrived_at_s is not None:
            columns["arrived_at_s"] = _arrivals(arrived_at_s, shape)
            columns, own = _sorted(columns, own)
        rest = {"arrived_at_s": None, "num_dropped": num_dropped, "notices": notices, "own": own}
        for name, field in (rest | columns).items():
            object.__setattr__(self, name, field)

    def __len__(self) -> int:
        """Number of requests, r."""
        return len(self.prompt_tokens)

    def rows(self, chosen: slice | Ints) -> Trace:
        """The requests at these rows, with the notices of the whole trace."""
        arrived = None if self.arrived_at_s is None else self.arrived_at_s[chosen]
        lengths = (self.prompt_tokens[chosen], self.output_tokens[chosen])
        return Trace(arrived, *lengths, self.num_dropped, self.notices, self.own.rows(chosen))

    def with_notice(self, notice: str) -> Trace:
        """The same trace with one more notice."""
        return replace(self, notices=(*self.notices, notice))

    @property
    def last_arrival_s(self) -> float:
        """When the last request arrives, of a trace with arrivals."""
        assert self.arrived_at_s is not None
        return float(self.arrived_at_s[-1])


def _arrivals(given: npt.ArrayLike, shape: tuple[int, ...]) -> Floats:
    arrived = checks.floats("arrived_at_s", given, ndim=1)
    if arrived.shape != shape:
        raise InputError(f"arrived_at_s: shape {list(arrived.shape)} does not match; {list(shape)} is needed")
    early = np.flatnonzero(arrived < 0)
    if early.size:
        raise InputError(f"arrived_at_s[{early[0]}]: {arrived[early[0]]} is not accepted; seconds of at least 0 are")
    return arrived


def _sorted(columns: dict[str, Floats | Ints], own: OwnColumns) -> tuple[dict[str, Floats | Ints], OwnColumns]:
    if (np.diff(columns["arrived_at_s"]) >= 0).all():
        return columns, own
    order = np.argsort(columns["arrived_at_s"], kind="stable")
    columns = {name: column[order] for name, column in columns.items()}
    for column in columns.values():
        column.flags.writeable = False
    return columns, own.rows(order)
