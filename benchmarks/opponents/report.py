"""All tables of the study, of what is in its folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.opponents import tables
from benchmarks.opponents.cell import BURSTS, INTERACTIVE, LEVELS, MILDER, STEADY, Cell, code
from benchmarks.opponents.chosen import (
    APTSERVE,
    CHARGED,
    HIDDEN,
    HIDDEN_NOBODY_REJECTED,
    LIFETIME,
    NOBODY_REJECTED,
    ON_KV,
    OURS,
    PLAIN,
    SHED,
    WITH_LEAST_SLACK,
)
from benchmarks.opponents.results import Held, held
from benchmarks.opponents.without_lengths import without_lengths
from benchmarks.reproduce.tables import table

STEADILY, IN_BURSTS = "Poisson arrivals", "bursts (CV 4)"
GROUPS = {
    STEADILY: STEADY,
    IN_BURSTS: BURSTS,
    "CV 2": MILDER,
    "MLPerf's interactive objectives": INTERACTIVE,
    "a trace's own arrivals": (code(Path()),),
}
PAIRS = (
    (OURS, PLAIN),
    (OURS, SHED),
    (NOBODY_REJECTED, PLAIN),
    (OURS, (LIFETIME,)),
    (HIDDEN, PLAIN),
    (HIDDEN_NOBODY_REJECTED, PLAIN),
    (HIDDEN, (APTSERVE,)),
)  # ours, and those of whom the better is compared with
AIMS = {STEADILY: (1.40, 1.15, 1.18, 1.30, 2.00, 1.75, 2.00), IN_BURSTS: (1.60, 1.40, 1.45)}  # of pairs, as set before
OVER = (
    (OURS, ON_KV),
    (NOBODY_REJECTED, (*PLAIN, WITH_LEAST_SLACK, LIFETIME, tables.FIRST)),
    (HIDDEN, (APTSERVE, CHARGED)),
)


def all_tables(out: Path) -> str:
    """All tables, in Markdown, each with its heading."""
    screened = held((*STEADY, *BURSTS), out / "screen")
    found = held([cell for cells in GROUPS.values() for cell in cells], out / "chosen")
    given = {
        f"All policies, plain / within `shed`, {name}, {level:.0%}, one seed": _screened(screened, GROUPS[name], level)
        for name in (STEADILY, IN_BURSTS)
        for level in LEVELS
    }
    for name, cells in GROUPS.items():
        for level in LEVELS:
            given |= _chosen(found, name, cells, level)
    given["Share of the rate that no policy passes that knows no output"] = _shares(found)
    return "\n\n".join(f"## {title}\n\n{text}" for title, text in given.items() if text) + "\n"


def _screened(screened: Held, cells: Sequence[Cell], level: float) -> str:
    """The table of the screen at those of the cells that were searched; empty where none was."""
    shown = tables.cells_of(screened, cells, level)
    names = [name for name in tables.policies_of(screened, shown, level) if not name.startswith("shed(")]
    return tables.screen_table(screened, shown, level, names) if shown else ""


def _chosen(found: Held, group: str, cells: Sequence[Cell], level: float) -> dict[str, str]:
    """The tables of a group of cells at a level, by title; none where nothing was searched."""
    if not tables.cells_of(found, cells, level):
        return {}
    name = f"{group}, {level:.0%}"
    aims = AIMS.get(group, ()) if level == LEVELS[-1] else ()
    return {
        name: tables.rate_table(found, cells, level),
        f"{name}: ours over the better of others": tables.better_table(found, cells, level, PAIRS, aims),
        **{f"{name}: `{own}` over each": tables.over_table(found, cells, level, own, others) for own, others in OVER},
    }


def _shares(found: Held) -> str:
    """What ours holds at the lowest level with steady arrivals, beside the rate that no policy passes."""
    rows = []
    for cell in tables.cells_of(found, STEADY, LEVELS[-1]):
        own = tables.found_at(found, cell, LEVELS[-1], OURS)
        if own is not None:
            bound_per_s = without_lengths(cell, LEVELS[-1])
            rates = (f"{rate_per_s:.3g}" for rate_per_s in (own.rate_per_s, bound_per_s, own.bound_per_s))
            rows.append((cell.heading, *rates, f"{own.rate_per_s / bound_per_s:.0%}", f"{own.share_of_bound:.0%}"))
    return table(("", f"`{OURS}`", "bound without lengths", "bound with lengths", "share", "share"), rows)
