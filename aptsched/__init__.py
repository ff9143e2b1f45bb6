"""Scheduling-optimisation toolkit for LLM serving: which requests form the next batch, in which form of cache.

What `__all__` lists is for users, here and in `aptsched.policies`, `aptsched.workload`, `solvers` and `engine`; all
else is ours, and may change.
"""

from __future__ import annotations

from aptsched.support.exports import TYPE_CHECKING, lazily

__all__ = [
    "ALWAYS",
    "SLO",
    "BatchProblem",
    "CacheForm",
    "CacheShape",
    "InfeasibleError",
    "InputError",
    "IterationTime",
    "Multipliers",
    "Observer",
    "Outcome",
    "Plan",
    "Policy",
    "RequestRecord",
    "Selection",
    "View",
    "certify",
    "greedy",
    "policies",
    "says_holds",
    "workload",
]

if TYPE_CHECKING:
    from aptsched import policies, workload
    from aptsched.knapsack.greedy import greedy
    from aptsched.problem.batch_problem import BatchProblem
    from aptsched.problem.certificate import certify
    from aptsched.problem.selection import Multipliers, Selection
    from aptsched.scheduling.forms import CacheForm, CacheShape
    from aptsched.scheduling.iteration_time import IterationTime
    from aptsched.scheduling.plan import ALWAYS, Observer, Plan, Policy, says_holds
    from aptsched.scheduling.record import SLO, Outcome, RequestRecord
    from aptsched.scheduling.view import View
    from aptsched.support.errors import InfeasibleError, InputError

    __version__: str
else:
    _export, __dir__ = lazily(
        __name__,
        {
            "aptsched": ("policies", "workload"),
            "aptsched.knapsack.greedy": ("greedy",),
            "aptsched.problem.batch_problem": ("BatchProblem",),
            "aptsched.problem.certificate": ("certify",),
            "aptsched.problem.selection": ("Multipliers", "Selection"),
            "aptsched.scheduling.forms": ("CacheForm", "CacheShape"),
            "aptsched.scheduling.iteration_time": ("IterationTime",),
            "aptsched.scheduling.plan": ("ALWAYS", "Observer", "Plan", "Policy", "says_holds"),
            "aptsched.scheduling.record": ("SLO", "Outcome", "RequestRecord"),
            "aptsched.scheduling.view": ("View",),
            "aptsched.support.errors": ("InfeasibleError", "InputError"),
        },
    )

    def __getattr__(name: str) -> object:
        """An export, or the version of what is installed."""
        if name != "__version__":
            return _export(name)
        from importlib.metadata import version

        return version("aptsched")
