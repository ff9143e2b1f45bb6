"""A residual's options, the base among them, and their value at given multipliers."""

from __future__ import annotations

import numpy as np

from aptsched.checks import Floats, Ints
from aptsched.residual import Residual


class Options:
    """What each option gains and takes of some resources, 0 being the base; the others are taken as unlimited.

    Attributes
    ----------
    resources : int array, [D]
        Of 0 = blocks, 1 = tokens, 2 = sequences.
    limits : float array, [D]
    gain : float array, [k + 1, n]
        In seconds; -inf where not offered.
    take : float array, [D, k + 1, n]
        Whole numbers.
    """

    def __init__(self, residual: Residual, resources: Ints) -> None:
        num_options, n = residual.gain.shape[0] + 1, len(residual.base)
        self.resources = resources
        self.limits = np.array(residual.limits)[resources]
        self.gain = np.zeros((num_options, n))
        self.gain[1:] = residual.gain
        self.take = np.zeros((len(resources), num_options, n))
        for row, resource in enumerate(resources.tolist()):
            self.take[row, 1:] = (residual.blocks, residual.tokens, residual.seqs)[resource]
        self._first = np.arange(n)

    def cost(self, rates: Floats) -> Floats:
        """What the options take, weighted by a rate for each resource, [..., D] -> [..., k + 1, n]."""
        cost: Floats = np.einsum("...d,dkn->...kn", rates, self.take)  # no BLAS: the same to the last bit everywhere
        return cost

    def used(self, option: Ints) -> Floats:
        """What one option for each request, [n], takes in all, [D]."""
        position = self.position(option)
        return np.array([np.add.reduce(row.take(position)) for row in self.take], np.float64)

    def position(self, option: Ints) -> Ints:
        """Where one option for each request, [n], stands in a flat [(k + 1) n]."""
        return option * len(option) + self._first

    def more(self, option: int, than: int, request: int) -> Floats:
        """What one option of a request takes more than another, [D]."""
        more: Floats = self.take[:, option, request] - self.take[:, than, request]
        return more
