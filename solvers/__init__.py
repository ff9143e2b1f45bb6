"""Exact answers to the batch-composition problem, all of one call signature.

Each of `core`, `cpsat`, `mathopt`, `pulp`, `milp` and `lp` is a module with `solve(problem, time_limit_s=None)`;
`METHODS` has them by name, and the greedy; `gap` compares them.
"""

from __future__ import annotations

from aptsched.support.exports import TYPE_CHECKING, lazily

__all__ = [
    "METHODS",
    "GapOptions",
    "GapStudy",
    "Method",
    "Solution",
    "Solver",
    "Status",
    "core",
    "cpsat",
    "find_method",
    "gap",
    "lp",
    "mathopt",
    "milp",
    "pulp",
]

if TYPE_CHECKING:
    from solvers import core, cpsat, lp, mathopt, milp, pulp
    from solvers.methods import METHODS, Method, find_method
    from solvers.solution import Solution, Solver, Status
    from solvers.study.gap import GapStudy, gap
    from solvers.study.gap_options import GapOptions
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "solvers": ("core", "cpsat", "lp", "mathopt", "milp", "pulp"),
            "solvers.methods": ("METHODS", "Method", "find_method"),
            "solvers.solution": ("Solution", "Solver", "Status"),
            "solvers.study.gap": ("GapStudy", "gap"),
            "solvers.study.gap_options": ("GapOptions",),
        },
    )
