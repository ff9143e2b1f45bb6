"""The exact optimum online: LP, reduction by bounds, dynamic programming over the core."""

from solvers.core.exact import solve

__all__ = ["solve"]
