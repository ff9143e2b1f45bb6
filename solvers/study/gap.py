"""The gap study, from Python as from the command line: how far each method's batch is from the optimum."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from aptsched.report import table
from aptsched.report.document import prepare, sealed
from aptsched.report.frames import chosen_frame
from aptsched.support import interrupts
from aptsched.support.errors import InputError
from aptsched.support.keywords import called_with
from aptsched.support.lazy import lazy
from solvers.methods import Method
from solvers.study import backlog, gap_files, method_runs
from solvers.study.gap_options import GapOptions
from solvers.study.method_runs import Instance, Record
from solvers.study.summary import summaries_by_method

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True, eq=False, repr=False)
class GapStudy:
    """The answers of each method on the same instances; printed, it is the table of the command.

    Attributes
    ----------
    instances : tuple of Instance
        The instances that are done.
    results : tuple of tuple of Record
        The records of each instance, one for each method.
    num_planned : int
        How many instances the study was to have.
    options : dict
        The options of the study, as plain values.
    notices : tuple of str
        A line for each thing in the trace that was not used, repeated or assumed.
    directory : Path, optional
        The directory that the command writes it to.
    error : Exception, optional
        What ended the study early, where that was not Ctrl-C.
    """

    instances: tuple[Instance, ...]
    results: tuple[tuple[Record, ...], ...]
    num_planned: int
    options: dict[str, Any]
    notices: tuple[str, ...] = ()
    directory: Path | None = None
    error: Exception | None = None

    @property
    def complete(self) -> bool:
        """Whether all instances are done."""
        return len(self.results) == self.num_planned

    @property
    def records(self) -> list[Record]:
        """The records of all instances, in order."""
        return [record for of_instance in self.results for record in of_instance]

    @lazy
    def document(self) -> dict[str, Any]:
        """The document that `--json` prints (docs/formats.md); `write` returns the one that names its files."""
        planned, notices = self.num_planned, self.notices
        return sealed(gap_files.document(self.instances, self.results, self.options, planned, notices))

    @property
    def contradictions(self) -> list[str]:
        """Lines that say which answers contradict each other; there should be none."""
        found: list[str] = self.document["contradictions"]
        return found

    def write(self, directory: str | os.PathLike[str]) -> dict[str, Any]:
        """Write the files that the command writes with `--out`: results.json, results.csv and plots.

        Returns
        -------
        dict
            The content of results.json.

        Raises
        ------
        InputError
            No instance is done, matplotlib is not installed, or a file cannot be written.
        """
        if not self.results:
            raise InputError("out: no instance is done; a study with one is accepted")
        out = self.options["out"] or os.fspath(directory)
        document = {**self.document, "options": {**self.options, "out": out}}
        return gap_files.write(prepare(directory, gap_files.FILES), document, self.records)

    def to_pandas(self, table: str = "records") -> DataFrame:
        """The rows of results.csv, or those of the table that is printed, as `document` has them.

        Parameters
        ----------
        table : "records" or "summary"

        Raises
        ------
        InputError
            There is no such table, or pandas is not installed.
        """
        tables = {"records": list(map(gap_files.row, self.records)), "summary": self.document["summary"]}
        return chosen_frame(tables, table)

    def show(self, file: TextIO) -> None:
        """Print the table, if any instance is done."""
        if self.results:
            summaries = summaries_by_method(self.records)
            notes = gap_files.notes(summaries, self.document["notices"])
            table.show(gap_files.COLUMNS, gap_files.sections(summaries), notes, file)

    def __repr__(self) -> str:
        """The table; if the study ended early, also how many instances are done and why."""
        text = io.StringIO()
        self.show(text)
        early = "" if self.error is None else f" It ended early: {self.error!r}"
        return f"{text.getvalue()}{len(self.results)} of {self.num_planned} instances are done.{early}"


@called_with(GapOptions)
def gap(options: GapOptions) -> GapStudy:
    """Compare each method's batch with the optimum, on snapshots of a backlogged queue.

    Ctrl-C ends the study and keeps the instances that are done; `complete` is False then. The keywords are those of
    `GapOptions`, as in
    `gap(workload="sharegpt", num_requests=[50, 200], methods=["greedy", "core", mine])`.

    Returns
    -------
    GapStudy
        Printed it is the table of `aptsched gap`; `to_pandas()`, `document` and `write(directory)` have the rest.

    Raises
    ------
    InputError
        Names the option, its value and what is accepted; or a method answers wrongly on the first instance. An error
        that ends the study later is in `error`.
    """
    study = None
    with contextlib.suppress(KeyboardInterrupt), interrupts.held() as hold:

        def is_stopped() -> bool:
            with hold:
                return False

        study = compare(options, is_stopped)
    if study is None:
        raise KeyboardInterrupt
    if study.error is not None and not study.results:
        raise study.error
    return study


def compare(
    options: GapOptions, is_stopped: Callable[[], bool], out: str | None = None, as_json: bool = False
) -> GapStudy:
    """Run the study that these options describe.

    Parameters
    ----------
    options : GapOptions
    is_stopped : callable
        Called before each solve; if it says True, the study ends without the instance that was begun.
    out : str, optional
        The directory that the study will be written to; it is made before anything is solved.
    as_json : bool
        Whether the command prints JSON; only recorded.
    """
    cut, methods = backlog.cut(options.source, options.sizes, options.loads, options.instances), options.chosen
    directory = None if out is None else prepare(out, gap_files.FILES)
    method_runs.warm_up(methods, cut.instances[0].problem, options.time_limit)
    results, error, num_begun = list[tuple[Record, ...]](), None, 0
    total = len(cut.instances) * len(methods)

    def proceed(instance: Instance, method: Method) -> bool:
        nonlocal num_begun
        options.progress(num_begun, total, f"{instance.id}, {method.name}")
        num_begun += 1
        return not is_stopped()

    try:
        for records in method_runs.run(cut.instances, methods, options.time_limit, proceed):
            results.append(records)
    except KeyboardInterrupt:
        pass
    except Exception as raised:
        error = raised
    done = tuple(cut.instances[: len(results)])
    given = options.recorded(out, as_json)
    return GapStudy(done, tuple(results), len(cut.instances), given, cut.notices, directory, error)
