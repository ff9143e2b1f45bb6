"""The exact optimum online: LP, reduction by bounds, dynamic programming over the core."""

from solvers.core.exact import solve
from solvers.core.exact_selection import exact_selection

__all__ = ["exact_selection", "solve"]
