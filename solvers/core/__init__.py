"""The exact optimum online: LP, reduction by bounds, dynamic programming over the core."""

from solvers.core.exact import exact_selection, solve

__all__ = ["exact_selection", "solve"]
