"""Tables of what policies hold, in Markdown, and the order of policies by it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from aptsched.metrics.interval import Interval
from benchmarks.opponents.cell import LEVELS, Cell
from benchmarks.opponents.paired import behind, over_sets, ratio
from benchmarks.opponents.results import Held
from benchmarks.reproduce.tables import table
from engine.capacities.found import Capacity

FIRST = "fcfs"  # whose rates others' are compared with
BEHIND = "🔴"  # marks a ratio below 1 by more than chance, and an aim that was missed


def shed(policy: str) -> str:
    """The policy within the wrapper that rejects who cannot make the first token."""
    return f"shed({policy})"


def level_at(cell: Cell, level: float) -> float:
    """The level of a cell that stands in a table of a level: where the lowest is not sought, one in place of it."""
    return cell.levels[-1] if level == LEVELS[-1] else level


def found_at(held: Held, cell: Cell, level: float, policy: str) -> Capacity | None:
    """What a policy holds at a cell in a table of a level; None where it was not searched."""
    return held.get((cell, level_at(cell, level), policy))


def cells_of(held: Held, cells: Iterable[Cell], level: float) -> list[Cell]:
    """Those of the cells that were searched at a table's level."""
    return [cell for cell in cells if any((at, of) == (cell, level_at(cell, level)) for at, of, _ in held)]


def policies_of(held: Held, cells: Sequence[Cell], level: float) -> list[str]:
    """The policies that were searched at any of the cells at a table's level, in order."""
    return list(dict.fromkeys(policy for cell, at, policy in held if cell in cells and at == level_at(cell, level)))


def times(held: Held, cells: Sequence[Cell], level: float, policy: str, other: str) -> Interval:
    """How many times the rate of another a policy holds, over all the cells; nan where one of them was not searched."""
    pairs = [(found_at(held, cell, level, policy), found_at(held, cell, level, other)) for cell in cells]
    rates = [(own.rates_per_s, its.rates_per_s) for own, its in pairs if own is not None and its is not None]
    return over_sets(rates if len(rates) == len(pairs) else [])


def ranked(held: Held, cells: Sequence[Cell], level: float, policies: Iterable[str]) -> list[str]:
    """For each policy the better of it and `shed` of it, the best first; without those that somewhere hold nothing."""
    names = [name for each in policies for name in (each, shed(each))]
    scores = {name: _or_0(times(held, cells, level, name, FIRST).mean) for name in names}
    pairs = [max(each, key=lambda name: scores[name]) for each in zip(names[::2], names[1::2], strict=True)]
    return sorted((name for name in pairs if scores[name] > 0), key=lambda name: -scores[name])


def screen_table(held: Held, cells: Sequence[Cell], level: float, policies: Sequence[str]) -> str:
    """What each policy holds at each cell, plain and with `shed`, and how many times `fcfs`; the best first."""
    order = [name.removeprefix("shed(").removesuffix(")") for name in ranked(held, cells, level, policies)]
    rows = []
    for policy in [*order, *(policy for policy in policies if policy not in order)]:
        pair = (policy, shed(policy))
        rates = [_both(_rate(found_at(held, cell, level, name)) for name in pair) for cell in cells]
        over_first = _both(_figure(times(held, cells, level, name, FIRST).mean) for name in pair)
        rows.append((f"`{policy}`", *rates, over_first))
    return table(("policy", *(heading(cell, level) for cell in cells), f"times `{FIRST}`"), rows)


def rate_table(held: Held, cells: Iterable[Cell], level: float) -> str:
    """What each policy holds at each cell, with intervals, and how many times `fcfs` where that has all rates."""
    shown = cells_of(held, cells, level)
    has_first = not math.isnan(times(held, shown, level, FIRST, FIRST).mean)
    rows = []
    for policy in policies_of(held, shown, level):
        rates = [_with_ends(_interval(found_at(held, cell, level, policy))) for cell in shown]
        over_first = "" if policy == FIRST else _with_ends(times(held, shown, level, policy, FIRST))
        rows.append((f"`{policy}`", *rates, *([over_first] * has_first)))
    return table(("policy", *(heading(cell, level) for cell in shown), *([f"times `{FIRST}`"] * has_first)), rows)


def over_table(held: Held, cells: Iterable[Cell], level: float, own: str, others: Sequence[str]) -> str:
    """How many times the rate of each of the others a policy holds at each cell, paired by seeds.

    A mark says where it is behind: by Holm's correction for the others at that cell.
    """
    shown = [cell for cell in cells_of(held, cells, level) if found_at(held, cell, level, own)]
    columns = [_ratios(held, cell, level, own, others) for cell in shown]
    rows = [(f"`{other}`", *(column[other] for column in columns)) for other in others]
    head = (f"`{own}` over", *(heading(cell, level) for cell in shown))
    return table(head, [row for row in rows if set(row[1:]) - {"-"}])


def _ratios(held: Held, cell: Cell, level: float, own: str, others: Sequence[str]) -> dict[str, str]:
    """By policy, how many times its rate one's own is at a cell."""
    found = {name: each.rates_per_s for name in others if (each := found_at(held, cell, level, name)) is not None}
    mine = found_at(held, cell, level, own)
    assert mine is not None
    lost = behind(mine.rates_per_s, found)
    shown = {name: _with_ends(ratio(mine.rates_per_s, rates)) for name, rates in found.items()}
    return {name: f"{BEHIND} **{text}**" if name in lost else text for name, text in shown.items()} | {
        name: "-" for name in others if name not in found
    }


def better_table(
    held: Held,
    cells: Iterable[Cell],
    level: float,
    pairs: Sequence[tuple[str, Sequence[str]]],
    aims: Sequence[float] = (),
) -> str:
    """How many times the better of some others' rate a policy holds, at each cell and in the geometric mean.

    The better is the one whose mean over the seeds is higher at that cell. Where the first of the pairs have aims, a
    last column says them, and whether the mean is that high.
    """
    shown = cells_of(held, cells, level)
    rows = []
    for (own, others), aim in zip(pairs, [*aims, *[math.nan] * (len(pairs) - len(aims))], strict=True):
        each = [_over_better(held, cell, level, own, others) for cell in shown]
        known = [rates for rates in each if rates is not None]
        if known:
            name = f"`{own}` over " + (" or ".join(f"`{other}`" for other in others))
            columns = ["-" if rates is None else _with_ends(over_sets([rates])) for rates in each]
            mean = over_sets(known if len(known) == len(shown) else [])
            rows.append((name, *columns, _with_ends(mean), *([_reached(mean.mean, aim)] if aims else [])))
    return table(("", *(heading(cell, level) for cell in shown), "geometric mean", *(["aim"] if aims else [])), rows)


def _reached(mean: float, aim: float) -> str:
    """The aim, and whether the mean reaches it, as far as both are known."""
    if math.isnan(mean) or math.isnan(aim):
        return "" if math.isnan(aim) else _figure(aim)
    return f"{_figure(aim)}, " + ("met" if mean >= aim else f"{BEHIND} missed")


def _over_better(
    held: Held, cell: Cell, level: float, own: str, others: Sequence[str]
) -> tuple[Sequence[float], Sequence[float]] | None:
    """A policy's rates and those of the better of some others, by seed; None where one was not searched."""
    mine = found_at(held, cell, level, own)
    found = [each for name in others if (each := found_at(held, cell, level, name)) is not None]
    if mine is None or not found:
        return None
    return mine.rates_per_s, max(found, key=lambda each: _or_0(each.rate_per_s)).rates_per_s


def heading(cell: Cell, level: float) -> str:
    """The cell's, and the level where it is one in place of the table's."""
    own = level_at(cell, level)
    return cell.heading + ("" if own == level else f" at {own:.0%}")


def _rate(found: Capacity | None) -> str:
    return "-" if found is None else _figure(found.rate_per_s)


def _interval(found: Capacity | None) -> Interval:
    if found is None:
        return Interval(math.nan, math.nan, math.nan)
    return Interval(found.rate_per_s, found.low, found.high)


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
