"""The answer of a solver, and the protocol of solvers."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Protocol

from aptsched.problem.batch_problem import BatchProblem
from aptsched.problem.selection import Selection
from aptsched.support.errors import InfeasibleError
from aptsched.support.quick_init import quick_init


class Status(enum.Enum):
    """OPTIMAL only if proved; FEASIBLE is the incumbent at a limit, or where floats cannot prove it.

    Proved: in exact arithmetic no selection is better by more than 2**-40 (`core`) or 2**-32 (the general solvers) of
    the absolute values chosen, and the solution's bound is not below the optimum.
    """

    OPTIMAL = "optimal"
    FEASIBLE = "feasible"
    INFEASIBLE = "infeasible"


@quick_init
@dataclass(frozen=True, eq=False)
class Solution:
    """A solver's answer.

    Attributes
    ----------
    status : Status
    selection : Selection or None
        The best one found, with its multipliers; None where infeasible.
    objective_s : float
        Its exact objective in seconds; -inf where infeasible.
    bound_s : float
        The best bound known on the optimum: the solver's own or the certificate's, whichever is lower; rounded up.
        Where the objective is proved optimal: the objective plus the error of the method's arithmetic
        (`proved_bound`), equal to the objective if nothing was rounded. -inf where infeasible.
    seconds : float
        Wall-clock time of the call.
    overload : InfeasibleError or None
        The smallest overload, where infeasible.
    """

    status: Status
    selection: Selection | None
    objective_s: float
    bound_s: float
    seconds: float
    overload: InfeasibleError | None = None


class Solver(Protocol):
    """A method that gives an exact answer or a bound."""

    def __call__(self, problem: BatchProblem, time_limit_s: float | None = None) -> Solution:
        """Solve within the limit; at a time-out the incumbent is kept."""
        ...
