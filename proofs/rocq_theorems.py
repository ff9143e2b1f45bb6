"""The theorems of THEOREMS.md, and the Coq statements that stand for them."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass

STATEMENT_WIDTH = 58


@dataclass(frozen=True)
class Row:
    """A statement: the theorem's number, what it says, and its name and file in Coq (empty where it is prose only)."""

    theorem: str
    words: str
    name: str = ""
    file: str = ""


ROWS = (
    Row("1", "An optimum of the LP only has hull options, and one fractional request at most", "hulls_lose_nothing",
        "LosesNothing.v"),
    Row("1", "The LP's optimum is the bound at the slope of the first increment left out", "greedy_price_is_optimal",
        "LosesNothing.v"),
    Row("2", "The greedy's selection is feasible", "greedy_feasible", "Guarantee.v"),
    Row("2", "Twice the greedy's value is at least the bound at its price", "greedy_half_of_bound", "Guarantee.v"),
    Row("2", "... so at least the value of every fractional solution", "greedy_half_of_lp", "Guarantee.v"),
    Row("2", "... so at least the value of every selection", "greedy_half_of_optimum", "Guarantee.v"),
    Row("2", "The same after any filling", "filled_greedy_half_of_optimum", "Fill.v"),
    Row("2", "Filling never lowers the value and keeps a selection feasible", "fill_never_lowers", "Fill.v"),
    Row("3", "A family with optimum >= (2 - 4 / (m + 2)) greedy, for all m", "factor_two_is_tight", "Tightness.v"),
    Row("3", "No factor below 2 holds for all instances", "no_smaller_factor", "Tightness.v"),
    Row("4", "d limits: rounding d fractional requests down, or the best single request, keeps 1 / (d + 1)",
        "rounding_guarantee", "Rounding.v"),
    Row("4", "A basic optimum of the LP has at most d fractional requests, and the walk finds one"),
    Row("5", "Any prices bound every selection, for d limits and required requests", "weak_duality", "Duality.v"),
    Row("5", "... less all that the selection's options lose", "duality_with_losses", "Duality.v"),
    Row("5", "Memory alone: any price bounds every fractional solution", "lp_weak_duality", "Relaxation.v"),
    Row("5", "Memory alone is the case d = 1", "memory_is_one_limit", "Relaxation.v"),
    Row("6", "A selection better than the incumbent has no discarded option", "reduction_keeps_better", "Reduction.v"),
    Row("6", "The optimum of what is left, or the incumbent, is the optimum", "reduction_keeps_optimum", "Reduction.v"),
    Row("7", "Where the printed Algorithm 1 and Theorem 1 fail (counterexamples are run by tests)"),
    Row("8", "The 0-1 knapsack is the case of one form a request", "knapsack_reduces", "Knapsack.v"),
    Row("8", "The 0-1 knapsack is NP-hard"),
    Row("9", "What no policy passes, whatever it decides over time"),
    Row("10", "Contract: an iteration keeps what was promised, whatever it does", "contract_kept", "Contract.v"),
    Row("10", "... so all who were admitted have memory, and every token in time", "contract_holds", "Contract.v"),
    Row("10", "A chunk handed out in order leaves every prefix of prompts less by the chunk", "chunk_in_order",
        "Contract.v"),
)  # fmt: skip


def proved() -> list[tuple[str, str]]:
    """File and name of every statement that Coq checks."""
    return [(row.file, row.name) for row in ROWS if row.name]


def table() -> str:
    """All rows as text; to be shown once all that is `proved` has been checked."""
    lines = [_line("theorem", "statement", "Coq name", "file", "status"), ""]
    for row in ROWS:
        first, *others = textwrap.wrap(row.words, STATEMENT_WIDTH)
        lines.append(_line(row.theorem, first, row.name, row.file, "checked" if row.name else "prose only"))
        lines += [_line("", other, "", "", "") for other in others]
    return "\n".join(lines)


def _line(*cells: str) -> str:
    return "  ".join(
        cell.ljust(width) for cell, width in zip(cells, (7, STATEMENT_WIDTH, 29, 14, 0), strict=True)
    ).rstrip()
