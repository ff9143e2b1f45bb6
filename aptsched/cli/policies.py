"""Policies as the command line names them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from typer.core import TyperCommand

if TYPE_CHECKING:
    from aptsched.policies.composition import Select

SELECT = ("greedy", "core")


class PolicyCommand(TyperCommand):
    """A command that has `--policy`: its help ends with the list of policies, which is made from the policies."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the options, then the policies."""
        from aptsched.policies.catalogue import SYNTAX, catalogue

        super().format_options(ctx, formatter)
        with formatter.section("Policies"):
            formatter.write_dl([(entry.name, entry.text) for entry in catalogue(SELECT)])
            formatter.write_paragraph()
            formatter.write_text(SYNTAX)


def answers() -> dict[str, Select]:
    """What the option `select` of policies takes, by name."""
    from aptsched.knapsack.greedy import greedy
    from solvers.core import exact_selection

    return dict(zip(SELECT, (greedy, exact_selection), strict=True))
