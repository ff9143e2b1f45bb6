"""Scheduling-optimisation toolkit for LLM serving: which requests form the next batch, in which form of cache."""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False  # as of typing, which takes longer to import than all of this
if TYPE_CHECKING:
    from aptsched.knapsack.greedy import greedy
    from aptsched.problem.batch_problem import BatchProblem
    from aptsched.problem.selection import Multipliers, Selection
    from aptsched.support.errors import InfeasibleError, InputError

    __version__: str

__all__ = ["BatchProblem", "InfeasibleError", "InputError", "Multipliers", "Selection", "greedy"]

_HOME = {
    "BatchProblem": "aptsched.problem.batch_problem",
    "InfeasibleError": "aptsched.support.errors",
    "InputError": "aptsched.support.errors",
    "Multipliers": "aptsched.problem.selection",
    "Selection": "aptsched.problem.selection",
    "greedy": "aptsched.knapsack.greedy",
}


def __getattr__(name: str) -> object:
    """Exports are imported at first use: `aptsched --help` has no need of numpy."""
    if name == "__version__":
        from importlib.metadata import version

        return version("aptsched")
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    export = globals()[name] = getattr(import_module(_HOME[name]), name)
    return export


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
