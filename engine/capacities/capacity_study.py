"""What came of a search for the highest rates that hold: figures, tables, document, files."""

from __future__ import annotations

import io
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from aptsched.report import table
from aptsched.report.document import machine, prepare, sealed, versions
from aptsched.report.frames import chosen_frame
from aptsched.support.errors import InputError
from aptsched.support.lazy import lazy
from engine.capacities import capacity_files, capacity_table
from engine.capacities.found import Capacity, Comparison, Group, Replicas, replicas_for
from engine.study.served_run import FailedRun

if TYPE_CHECKING:
    from pandas import DataFrame

SCHEMA, VERSION = "aptsched.capacity", 1
PACKAGES = ("aptsched", "numpy")


@dataclass(frozen=True, eq=False)
class CapacityStudy:
    """The result of `capacity`.

    Attributes
    ----------
    groups : tuple of Group
        All probes, by setting and objectives.
    levels : tuple of float
    failed : tuple of FailedRun
        Policies that failed, and why; they hold nothing.
    options, setup : dict
        As in results of `simulate`.
    notices : tuple of str
    complete : bool
        False if Ctrl-C ended the study: policies that were not searched with every seed are left out.
    gpus_for : float, optional
        Requests a second that all replicas together are to serve.
    num_gpus : int
        Of a replica.
    price_per_hour : float, optional
        Of a GPU.
    directory : path, optional
        Where probes are kept.
    """

    groups: tuple[Group, ...]
    levels: tuple[float, ...]
    failed: tuple[FailedRun, ...]
    options: dict[str, Any]
    setup: dict[str, Any]
    notices: tuple[str, ...]
    complete: bool
    gpus_for: float | None = None
    num_gpus: int = 1
    price_per_hour: float | None = None
    directory: Path | None = None

    @lazy
    def capacities(self) -> list[Capacity]:
        """The highest rate that each policy holds, by setting, objectives and level."""
        return [found for group in self.groups for found in group.capacities(self.levels)]

    @lazy
    def comparisons(self) -> list[Comparison]:
        """Each policy's rate over that of the first."""
        return [found for group in self.groups for found in group.comparisons(self.levels)]

    @lazy
    def replicas(self) -> list[Replicas]:
        """How many replicas serve the rate that was asked for, if one was."""
        if self.gpus_for is None:
            return []
        return replicas_for(self.gpus_for, self.capacities, self.num_gpus, self.price_per_hour)

    @lazy
    def document(self) -> dict[str, Any]:
        """The document that `--json` prints (docs/formats.md)."""
        names = ("capacities", "comparisons", "replicas", "failed")
        rows = {name: [capacity_files.plain(asdict(row)) for row in getattr(self, name)] for name in names}
        return sealed(
            {
                "schema": SCHEMA,
                "version": VERSION,
                "options": self.options,
                "versions": versions(PACKAGES),
                "machine": machine(),
                **self.setup,
                "complete": self.complete,
                "notices": list(self.notices),
                **rows,
                "probes": [row for group in self.groups for row in capacity_files.probe_rows(group)],
            }
        )

    def write(self, directory: str | os.PathLike[str]) -> dict[str, Any]:
        """Write capacity.json and capacity.png, and return the content of the former.

        Raises
        ------
        InputError
            Nothing was found, matplotlib is not installed, or a file cannot be written.
        """
        if not self.capacities:
            raise InputError("out: no policy was searched to its end; a study with one is accepted")
        capacity_files.write(prepare(directory, capacity_files.FILES), self.document, self.groups, self.capacities)
        return self.document

    def to_pandas(self, name: str = "capacities") -> DataFrame:
        """The table "capacities", "comparisons", "replicas" or "probes" as in `document`.

        Raises
        ------
        InputError
            There is no such table, or pandas is not installed.
        """
        names = ("capacities", "comparisons", "replicas", "probes")
        return chosen_frame({each: self.document[each] for each in names}, name)

    def show(self, file: TextIO) -> None:
        """Print the tables, if anything was found."""
        if not self.capacities:
            return
        tables = [
            (capacity_table.RATES, capacity_table.rate_sections(self.groups, self.levels)),
            (capacity_table.FIGURES, capacity_table.figure_sections(self.groups, self.levels)),
            (capacity_table.REPLICAS, capacity_table.replica_sections(self.replicas, self.gpus_for)),
        ]
        shown = [(columns, sections) for columns, sections in tables if sections]
        notes = [*capacity_table.notes(self.groups, self.capacities), *self.notices]
        if self.gpus_for is not None and not self.replicas:
            notes.append(f"--gpus-for {self.gpus_for:g}: no policy holds a stable rate, so that no number serves that.")
        for columns, sections in shown:
            table.show(columns, sections, notes if sections is shown[-1][1] else [], file)

    def __repr__(self) -> str:
        """The tables."""
        text = io.StringIO()
        self.show(text)
        return text.getvalue()
