"""A set of requests, steady or in bursts, and what policies hold there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aptsched.report.progress import counted
from engine.capacities.capacity import search_capacity
from engine.capacities.capacity_study import CapacityStudy
from engine.capacities.options import CapacityOptions

SETS = {"sharegpt": "ShareGPT", "humaneval": "HumanEval", "longbench": "LongBench"}  # as tables call them
AZURE = "azure"
LEVELS = (0.99, 0.9)
EASIER = 0.75  # in bursts of long prompts hardly any rate has 90% within their objectives, and none of some seeds
SEED = 20  # the first of five that no constant of ours was chosen on
JITTER = 0.1  # share by which lengths are moved, so that a prompt does not name its output
OPT = {"model": "opt-13b", "gpu": "a100-40gb"}
LLAMA = {"model": "llama-3.1-8b", "gpu": "a100-80gb"}


class StoppedError(Exception):
    """Ctrl-C or SIGTERM ended the study."""


@dataclass(frozen=True)
class Cell:
    """Requests, and the objectives that they are held to.

    Attributes
    ----------
    name : str
        As its folder is called.
    heading : str
        In tables of cells of its kind.
    levels : tuple of float
        Those that are sought, the highest first.
    of : mapping
        The options of `aptsched capacity` that say which requests, on which model and GPU, by which objectives.
    """

    name: str
    heading: str
    levels: tuple[float, ...]
    of: Mapping[str, Any] = field(compare=False)


def drawn(lengths: str, cv: float, levels: tuple[float, ...]) -> Cell:
    """Lengths of a built-in set, and gaps between arrivals of this coefficient of variation."""
    found = (EASIER,) if (lengths, cv) == ("longbench", 4.0) else levels
    of = {"workload": lengths, "cv": cv, "objectives": "chat", **OPT}
    return Cell(f"{lengths}-cv{cv:g}", SETS[lengths], found, of)


def interactive(lengths: str) -> Cell:
    """Lengths of a built-in set by the objectives of MLPerf's interactive scenario."""
    of = {"workload": lengths, "objectives": "mlperf-interactive", **LLAMA}
    return Cell(f"{lengths}-mlperf", SETS[lengths], LEVELS[-1:], of)


def code(trace: Path) -> Cell:
    """A trace whose requests have a TTFT of their own, with its arrivals: as many windows of it as there are seeds."""
    return Cell(AZURE, "azure code", LEVELS[-1:], {"trace": str(trace), "objectives": "chat", **LLAMA})


STEADY = tuple(drawn(lengths, 1.0, LEVELS) for lengths in SETS)
BURSTS = tuple(drawn(lengths, 4.0, LEVELS) for lengths in SETS)
MILDER = tuple(drawn(lengths, 2.0, LEVELS[-1:]) for lengths in SETS)
INTERACTIVE = tuple(interactive(lengths) for lengths in SETS)


@dataclass(frozen=True)
class Extent:
    """How much is served.

    Attributes
    ----------
    arrivals_s : dict
        By the name of a cell, and "" for all others, the seconds of arrivals, and how many of them, the first, do not
        count.
    seed, num_seeds : int
        The first, and how many.
    jitter : float, optional
        Share by which lengths of the sets are moved at most; those of a trace are not.
    """

    arrivals_s: Mapping[str, tuple[float, float]]
    seed: int
    num_seeds: int
    jitter: float | None

    def options(self, cell: Cell) -> dict[str, Any]:
        """Those of `aptsched capacity` that it decides at a cell."""
        duration_s, warmup_s = self.arrivals_s.get(cell.name, self.arrivals_s[""])
        return {
            "duration": duration_s,
            "warmup": warmup_s,
            "seed": self.seed,
            "seeds": self.num_seeds,
            "level": cell.levels,
            "jitter": None if "trace" in cell.of else self.jitter,
        }


def searched(cell: Cell, policies: Sequence[str], extent: Extent, folder: Path, jobs: int) -> CapacityStudy:
    """What the policies hold at a cell, as `aptsched capacity` finds it, written to the folder of that name.

    Raises
    ------
    StoppedError
        Ctrl-C came; the same call goes on from there.
    """
    out = str(folder / cell.name)
    with counted("runs") as progress:
        of_all: dict[str, Any] = {"policy": list(policies), "setting": "sustained", "jobs": jobs, "progress": progress}
        study = search_capacity(CapacityOptions(**cell.of, **extent.options(cell), **of_all), out)
    if not study.complete:
        raise StoppedError
    study.write(out)
    return study
