"""Policies on the command line: the help on them, and the values of `select`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from typer.core import TyperCommand

if TYPE_CHECKING:
    from aptsched.policies.composition import Select

SELECT = ("greedy", "core")
NAME_WIDTH = 12  # columns: what is said of a longer name begins below it


class PolicyCommand(TyperCommand):
    """A command with `--policy`: its help ends with a list of the policies."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the options, then the policies."""
        from aptsched.policies.catalogue import SYNTAX, catalogue

        super().format_options(ctx, formatter)
        with formatter.section("Policies"):
            formatter.write_dl([(entry.name, entry.text) for entry in catalogue(SELECT)], col_max=NAME_WIDTH)
            formatter.write_paragraph()
            formatter.write_text(SYNTAX)


class Answers(Mapping[str, "Select"]):
    """The accepted values of the policies' option `select`, by name; each is imported where it is asked for."""

    def __getitem__(self, name: str) -> Select:
        """What selects by that name."""
        if name == "greedy":
            from aptsched.knapsack.greedy import greedy

            return greedy
        if name == "core":
            from solvers.core import exact_selection

            return exact_selection
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        """The names, the default first."""
        return iter(SELECT)

    def __len__(self) -> int:
        """How many there are."""
        return len(SELECT)


def answers() -> Mapping[str, Select]:
    """The accepted values of the policies' option `select`, by name."""
    return Answers()
