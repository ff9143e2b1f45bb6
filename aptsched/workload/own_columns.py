"""What rows of a trace say of themselves beside arrival and lengths: objectives of their own, tenant, priority."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from aptsched.support.checks import Floats, Ints
from aptsched.support.errors import InputError
from aptsched.workload import cells

TENANT = "tenant"
NO_TENANT = "-"  # of a row that names none, where others do
PARSERS: dict[str, Callable[[object], float | int]] = {
    "slo_ttft_s": cells.objective,
    "slo_tpot_s": cells.objective,
    "priority": cells.priority,
}
OWN = (*PARSERS, TENANT)  # names of the columns


class OwnRefused(Exception):
    """A value of a column that is not accepted; the message says what is."""

    def __init__(self, column: str, accepted: str) -> None:
        super().__init__(accepted)
        self.column = column


@dataclass(frozen=True, eq=False)
class OwnColumns:
    """The columns, [r] each; None where no row of the trace has one.

    Attributes
    ----------
    slo_ttft_s, slo_tpot_s : float array, optional
        Objectives in seconds; nan of a row that has none of its own.
    priority : int array, optional
        The lower, the more urgent, as in vLLM; 0 of a row that has none.
    tenant : int array, optional
        The place of each row's tenant in `tenants`.
    tenants : tuple of str
        Their names.
    """

    slo_ttft_s: Floats | None = None
    slo_tpot_s: Floats | None = None
    priority: Ints | None = None
    tenant: Ints | None = None
    tenants: tuple[str, ...] = ()

    @property
    def num_own_slo(self) -> int:
        """How many rows have a TTFT or a TPOT of their own."""
        given = [~np.isnan(column) for column in (self.slo_ttft_s, self.slo_tpot_s) if column is not None]
        return int(np.logical_or.reduce(given).sum()) if given else 0

    def check_rows(self, num_rows: int) -> None:
        """Raise InputError unless each column has a value for each of so many rows."""
        for name in OWN:
            column = getattr(self, name)
            if column is not None and column.shape != (num_rows,):
                raise InputError(f"{name}: shape {list(column.shape)} does not match; [{num_rows}] is needed")

    def rows(self, chosen: slice | Ints) -> OwnColumns:
        """Those of these rows; tenants keep their places."""
        columns = {name: None if (of := getattr(self, name)) is None else of[chosen] for name in OWN}
        return OwnColumns(**columns, tenants=self.tenants)

    def filled(self, name: str, num_rows: int, default: float) -> Floats | Ints:
        """A column, with the default where a row or the trace has no value; [r]."""
        column = getattr(self, name)
        if column is None:
            return np.broadcast_to(default, num_rows)
        return np.where(np.isnan(column), default, column) if name in ("slo_ttft_s", "slo_tpot_s") else column


@dataclass
class OwnRows:
    """The columns as they grow, row by row; one begins with the first row that has a value in it."""

    num_rows: int = 0
    columns: dict[str, array[float] | array[int]] = field(default_factory=dict)
    tenants: dict[str, int] = field(default_factory=dict)

    def append(self, given: Mapping[str, object]) -> None:
        """Add a row; None and an empty cell are no value. Raises `OwnRefused`."""
        for name in OWN:
            value = given.get(name)
            if value is not None and value != "":
                self._column(name).append(self._parsed(name, value))  # type: ignore[arg-type]
            elif name in self.columns:
                self.columns[name].append(self._none(name))  # type: ignore[arg-type]
        self.num_rows += 1

    def own_columns(self) -> OwnColumns:
        """The columns so far."""
        return OwnColumns(
            **{name: np.array(column) for name, column in self.columns.items()}, tenants=tuple(self.tenants)
        )

    def _column(self, name: str) -> array[float] | array[int]:
        if name not in self.columns:
            typecode = "d" if name.startswith("slo") else "q"
            before = [self._none(name)] * self.num_rows if self.num_rows else []
            self.columns[name] = array(typecode, before)
        return self.columns[name]

    def _none(self, name: str) -> float | int:
        if name == TENANT:
            return self.tenants.setdefault(NO_TENANT, len(self.tenants))
        return math.nan if name.startswith("slo") else 0

    def _parsed(self, name: str, value: object) -> float | int:
        try:
            if name != TENANT:
                return PARSERS[name](value)
            return self.tenants.setdefault(cells.name(value), len(self.tenants))
        except cells.Refused as refusal:
            raise OwnRefused(name, str(refusal)) from None
