"""Policies on the command line: the help on them, and the values of `select`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typer.core import TyperCommand

if TYPE_CHECKING:
    from aptsched.policies.composition import Select

SELECT = ("greedy", "core")


class PolicyCommand(TyperCommand):
    """A command with `--policy`: its help ends with a list of the policies."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the options, then the policies."""
        from aptsched.policies.catalogue import SYNTAX, catalogue

        super().format_options(ctx, formatter)
        with formatter.section("Policies"):
            formatter.write_dl([(entry.name, entry.text) for entry in catalogue(SELECT)])
            formatter.write_paragraph()
            formatter.write_text(SYNTAX)


def answers() -> dict[str, Select]:
    """The accepted values of the policies' option `select`, by name."""
    from aptsched.knapsack.greedy import greedy
    from solvers.core import exact_selection

    return dict(zip(SELECT, (greedy, exact_selection), strict=True))
