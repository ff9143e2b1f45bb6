"""A set of lengths with Poisson or bursty arrivals, and what policies hold there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aptsched.report.progress import counted
from engine.capacities.capacity import search_capacity
from engine.capacities.capacity_study import CapacityStudy
from engine.capacities.options import CapacityOptions

SETS = ("sharegpt", "humaneval", "longbench")
CVS = (1.0, 4.0)
LEVELS = (0.99, 0.9)
HARDEST, EASIER = ("longbench", 4.0), 0.75  # at this cell hardly any rate has 90% within their objectives
TIMES_AS_LONG = 3.0  # there, as a burst takes minutes


class StoppedError(Exception):
    """Ctrl-C or SIGTERM ended the study."""


@dataclass(frozen=True)
class Cell:
    """Requests of a built-in set of lengths whose gaps between arrivals have this coefficient of variation."""

    lengths: str
    cv: float

    @property
    def name(self) -> str:
        """As its folder is called."""
        return f"{self.lengths}-cv{self.cv:g}"

    @property
    def levels(self) -> tuple[float, ...]:
        """The levels that are sought in the second part, the highest first; the first part seeks the last of them."""
        return (EASIER,) if self.is_hardest else LEVELS

    @property
    def is_hardest(self) -> bool:
        """Whether these are bursts of long prompts."""
        return (self.lengths, self.cv) == HARDEST


CELLS = tuple(Cell(lengths, cv) for cv in CVS for lengths in SETS)


@dataclass(frozen=True)
class Extent:
    """How much is served.

    Attributes
    ----------
    num_seeds : int
    arrivals_s : dict
        By set, the seconds of arrivals, and how many of them, the first, do not count.
    all_levels : bool
        Whether all levels are sought, or the lowest alone.
    """

    num_seeds: int
    arrivals_s: dict[str, tuple[float, float]]
    all_levels: bool

    def levels(self, cell: Cell) -> tuple[float, ...]:
        """The levels that are sought at a cell."""
        return cell.levels if self.all_levels else cell.levels[-1:]

    def seconds(self, cell: Cell) -> tuple[float, float]:
        """Of arrivals at a cell, and of the warm-up."""
        duration_s, warmup_s = self.arrivals_s[cell.lengths]
        return duration_s * (TIMES_AS_LONG if cell.is_hardest else 1.0), warmup_s


def searched(cell: Cell, policies: Sequence[str], extent: Extent, folder: Path, jobs: int) -> CapacityStudy:
    """What the policies hold at a cell, as `aptsched capacity` finds it, written to the folder of that name.

    Raises
    ------
    StoppedError
        Ctrl-C came; the same call goes on from there.
    """
    out = str(folder / cell.name)
    duration_s, warmup_s = extent.seconds(cell)
    with counted("runs") as progress:
        options = CapacityOptions(
            workload=cell.lengths,
            cv=cell.cv,
            policy=list(policies),
            setting="sustained",
            level=extent.levels(cell),
            seeds=extent.num_seeds,
            duration=duration_s,
            warmup=warmup_s,
            jobs=jobs,
            progress=progress,
        )
        study = search_capacity(options, out)
    if not study.complete:
        raise StoppedError
    study.write(out)
    return study
