"""Tables of what policies hold, in Markdown, and the order of policies by it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from aptsched.metrics.interval import Interval, interval
from benchmarks.opponents.cell import LEVELS, Cell
from benchmarks.reproduce.tables import table
from engine.capacities.found import Capacity

Held = Mapping[tuple[Cell, float, str], Capacity]  # by cell, level and policy
FIRST = "fcfs"  # whose rates others' are compared with


def shed(policy: str) -> str:
    """The policy within the wrapper that rejects who cannot make the first token."""
    return f"shed({policy})"


def cells_at(held: Held, level: float) -> list[Cell]:
    """The cells that a table of a level has, in order: of the lowest level all, each at its own lowest one."""
    return list(dict.fromkeys(cell for cell, found, _ in held if found == level_at(cell, level)))


def level_at(cell: Cell, level: float) -> float:
    """The level of a cell that stands in a table of a level: where the lowest is not sought, one in place of it."""
    return cell.levels[-1] if level == LEVELS[-1] else level


def times_first(held: Held, policy: str, level: float) -> Interval:
    """How many times the rate of `fcfs` a policy holds: of each seed the geometric mean over all cells of a level.

    The interval is that of the mean over the seeds; nan where one of the two holds no rate, or was not searched.
    """
    by_cell = [ratios(held, policy, cell, level) for cell in cells_at(held, level)]
    return interval(np.exp(np.mean([np.log(each) for each in by_cell], axis=0)).tolist())


def ratios(held: Held, policy: str, cell: Cell, level: float) -> list[float]:
    """The rate of a policy over that of `fcfs` at a cell, by seed; nan where it was not searched."""
    first = held[cell, level_at(cell, level), FIRST].rates_per_s
    own = held.get((cell, level_at(cell, level), policy))
    return [math.nan] * len(first) if own is None else [a / b for a, b in zip(own.rates_per_s, first, strict=True)]


def ranked(held: Held, policies: Iterable[str]) -> list[str]:
    """For each policy the better of it and `shed` of it, the best first; without those that somewhere hold nothing."""
    scores = {name: times_first(held, name, LEVELS[-1]).mean for each in policies for name in (each, shed(each))}
    pairs = [max((each, shed(each)), key=lambda name: _or_0(scores[name])) for each in policies]
    return sorted((name for name in pairs if scores[name] > 0), key=lambda name: -scores[name])


def screen_table(held: Held, policies: Sequence[str]) -> str:
    """What each policy holds at each cell, plain and with `shed`, and how many times `fcfs`; the best first."""
    level = LEVELS[-1]
    cells = cells_at(held, level)
    order = [name.removeprefix("shed(").removesuffix(")") for name in ranked(held, policies)]
    rows = []
    for policy in [*order, *(policy for policy in policies if policy not in order)]:
        pair = (policy, shed(policy))
        rates = [_both(rate(held, name, cell, level) for name in pair) for cell in cells]
        rows.append((f"`{policy}`", *rates, _both(_figure(times_first(held, name, level).mean) for name in pair)))
    return table(("policy", *(heading(cell, level) for cell in cells), f"times `{FIRST}`"), rows)


def best_table(held: Held, policies: Sequence[str], level: float) -> str:
    """What each policy holds at each cell at a level, with intervals."""
    cells = cells_at(held, level)
    rows = [
        (
            f"`{policy}`",
            *(with_ends(held[cell, level_at(cell, level), policy]) for cell in cells),
            times(held, policy, level),
        )
        for policy in policies
    ]
    return table(("policy", *(heading(cell, level) for cell in cells), f"times `{FIRST}`"), rows)


def short_table(held: Held, policies: Sequence[str]) -> str:
    """What each policy holds at each cell at the lowest level, and how many times `fcfs` at all levels."""
    low = LEVELS[-1]
    cells = cells_at(held, low)
    rows = [
        (
            f"`{policy}`",
            *(rate(held, policy, cell, low) for cell in cells),
            *(times(held, policy, level) for level in reversed(LEVELS)),
        )
        for policy in policies
    ]
    over = (f"times `{FIRST}`, {level:.0%}" for level in reversed(LEVELS))
    return table(("policy", *(heading(cell, low) for cell in cells), *over), rows)


def heading(cell: Cell, level: float) -> str:
    """Set and arrivals, and the level where it is one in place of the table's."""
    own = level_at(cell, level)
    return f"{cell.lengths}, CV {cell.cv:g}" + ("" if own == level else f", {own:.0%}")


def rate(held: Held, policy: str, cell: Cell, level: float) -> str:
    """The rate that a policy holds."""
    found = held.get((cell, level_at(cell, level), policy))
    return "-" if found is None else _figure(found.rate_per_s)


def times(held: Held, policy: str, level: float) -> str:
    """How many times the rate of `fcfs` a policy holds, with the interval."""
    return "" if policy == FIRST else _with_ends(times_first(held, policy, level))


def with_ends(found: Capacity) -> str:
    """The rate that is held, with its interval."""
    return _with_ends(Interval(found.rate_per_s, found.low, found.high))


def _with_ends(found: Interval) -> str:
    ends = "" if math.isnan(found.low) else f" ({_figure(found.low)}-{_figure(found.high)})"
    return _figure(found.mean) + ends


def _both(cells: Iterable[str]) -> str:
    plain, within = cells
    return plain if within == "-" else f"{plain} / {within}"


def _figure(value: float) -> str:
    """Three digits; a dash for what is not known."""
    if math.isnan(value):
        return "-"
    return f"{value:#.3g}".rstrip(".")


def _or_0(value: float) -> float:
    return 0.0 if math.isnan(value) else value
