"""The results of a serving study: its runs, with tables for people and files for programs."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from aptsched.metrics import request_rows
from aptsched.report import table
from aptsched.report.document import plain, prepare, sealed
from aptsched.report.frames import chosen_frame
from aptsched.support import files
from aptsched.support.errors import InputError
from aptsched.support.lazy import lazy
from engine.simulator.cost import Cost
from engine.study import fairness, run_files, run_table
from engine.study.replay import Replay, beyond_context
from engine.study.served_run import FailedRun, ServedRun
from engine.study.serving import Server

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True, eq=False, repr=False)
class ServingStudy:
    """The results of policies on the same requests; printed, it is the tables of the command.

    Attributes
    ----------
    runs : tuple of ServedRun
        Runs by rate and then policy, each with its records; after Ctrl-C those that were begun.
    failed : tuple of FailedRun
        Runs whose policy failed, and why.
    replays : tuple of Replay
        The requests at each rate.
    server : Server or None
        What served them; None where it is elsewhere.
    num_planned : int
        How many runs the study was to have.
    options, setup : dict
        The options, and what followed from them (model, cache, times), as plain values.
    notices : tuple of str
        Notices about the options; those about replays and runs are added.
    cost : Cost, optional
        The cost of iterations, on a computed clock.
    directory : Path, optional
        The directory of the logs of decisions.
    beside : tuple of str
        Names of other files in it that belong to the results.
    error : Exception, optional
        The error that ended the study early, if it was neither Ctrl-C nor a policy's.
    folder : object, optional
        Keeps `directory` alive if it is a temporary one, which is removed when nothing refers to it any more.
    """

    runs: tuple[ServedRun, ...]
    failed: tuple[FailedRun, ...]
    replays: tuple[Replay, ...]
    server: Server | None
    num_planned: int
    options: dict[str, Any]
    setup: dict[str, Any]
    notices: tuple[str, ...] = ()
    cost: Cost | None = None
    directory: Path | None = None
    beside: tuple[str, ...] = ()
    error: Exception | None = None
    folder: object = None

    @property
    def num_done(self) -> int:
        """Runs that were served to their end."""
        return sum(run.complete for run in self.runs)

    @property
    def complete(self) -> bool:
        """Whether all planned runs were served to their end."""
        return self.num_done == self.num_planned

    @lazy
    def document(self) -> dict[str, Any]:
        """The document that `--json` prints (docs/formats.md); `write` returns the one that names its files."""
        return plain(self.long_document)

    @lazy
    def long_document(self) -> dict[str, Any]:
        """The same with lists that may be too long to hold as `Entries`."""
        document = run_files.document(
            self.runs, self.replays, self.options, self.setup, self.complete, self.notices, self.failed
        )
        if self.cost is not None and self.server is not None:
            for each, replay in zip(document["replays"], self.replays, strict=True):
                each["num_beyond_context"] = beyond_context(replay, self.server.limits.max_context)
        return sealed(document)

    def write(self, directory: str | os.PathLike[str]) -> dict[str, Any]:
        """Write the files that the command writes with `--out`: results.json, requests.csv, logs and plots.

        Returns
        -------
        dict
            The content of results.json.

        Raises
        ------
        InputError
            There is no run, matplotlib is not installed, or a file cannot be written.
        """
        return plain(self.written(directory))

    def written(self, directory: str | os.PathLike[str]) -> dict[str, Any]:
        """As `write`; lists in what it returns are as in `long_document`."""
        if not self.runs:
            raise InputError("out: no run was served; a study with one is accepted")
        place = prepare(directory, run_files.FILES)
        for name in self.beside if place != self.directory else ():
            assert self.directory is not None
            files.copy(self.directory / name, place / name)
        return run_files.write(place, self.long_document, [_with_log_in(place, run) for run in self.runs], self.beside)

    def to_pandas(self, table: str = "requests") -> DataFrame:
        """The rows of requests.csv, or the summary of each run as in `document`.

        Parameters
        ----------
        table : "requests" or "summary"

        Raises
        ------
        InputError
            There is no such table, or pandas is not installed.
        """
        text = request_rows.as_csv(run_files.csv_runs(self.runs))
        rows = [row for _, row in request_rows.rows(text) if isinstance(row, dict)]
        return chosen_frame({"requests": rows, "summary": self.document["summary"]}, table)

    def show(self, file: TextIO) -> None:
        """Print the tables, if there is any run."""
        if not self.runs:
            return
        tables = [
            (run_table.LATENCY, run_table.latency_sections(self.runs)),
            (run_table.MEASURES, run_table.measure_sections(self.runs)),
            (run_table.TENANTS, run_table.tenant_sections(self.runs)),
            (run_table.engine_columns(self.runs), run_table.engine_sections(self.runs) if self._is_seen else []),
            (fairness.COLUMNS, fairness.fairness_sections(self.runs) if self.cost else []),
            (run_table.RATES, run_table.rate_sections(self.runs)),
        ]
        shown = [(columns, sections) for columns, sections in tables if sections]
        for columns, sections in shown:
            table.show(columns, sections, self._notes() if sections is shown[-1][1] else [], file)

    def __repr__(self) -> str:
        """The tables; if the study ended early, also how many runs there are and why."""
        text = io.StringIO()
        self.show(text)
        early = "" if self.error is None else f" It ended early: {self.error!r}"
        return f"{text.getvalue()}{self.num_done} of {self.num_planned} runs are complete.{early}"

    @property
    def _is_seen(self) -> bool:
        """Whether anything is known of iterations."""
        return any(run.usage.is_begun for run in self.runs)

    def _notes(self) -> list[str]:
        notes = run_table.notes(self.runs, self.replays[0], self.long_document["notices"])
        if self.cost is None or self.server is None:
            return notes
        pool = f"{self.server.num_blocks} blocks of {self.server.cache.block_size} tokens"
        return [*notes, *fairness.NOTES, f"Computed with {pool}, by {self.cost.source}."]


def collected(
    results: Iterable[ServedRun | FailedRun],
) -> tuple[list[ServedRun], list[FailedRun], Exception | None]:
    """Collect the runs, the failed runs, and the error that ended them early, if it was not Ctrl-C."""
    runs, failed, error = list[ServedRun](), list[FailedRun](), None
    try:
        for result in results:
            if isinstance(result, ServedRun):
                runs.append(result)
            else:
                failed.append(result)
    except KeyboardInterrupt:
        pass
    except Exception as raised:
        error = raised
    return runs, failed, error


def _with_log_in(place: Path, run: ServedRun) -> ServedRun:
    """The run with its log of decisions in that directory, copied there if it is elsewhere."""
    log = run.certificates
    if log is None or log.parent == place:
        return run
    files.copy(log, place / log.name)
    return replace(run, certificates=place / log.name)
