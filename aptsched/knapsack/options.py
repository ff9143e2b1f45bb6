"""A residual's options, the base among them, and their value at given multipliers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from aptsched.knapsack.residual import Residual
from aptsched.support.checks import Floats, Ints


@dataclass(frozen=True, eq=False)
class Options:
    """Gain and use of some resources of each option, option 0 being the base; other resources count as unlimited.

    Attributes
    ----------
    resources : int array, [D]
        Which they are: 0 = blocks, 1 = tokens, 2 = sequences.
    limits : float array, [D]
    gain : float array, [k + 1, n]
        In seconds; -inf where not offered.
    take : float array, [D, k + 1, n]
        Whole numbers.
    """

    resources: Ints
    limits: Floats
    gain: Floats
    take: Floats

    @classmethod
    def of(cls, residual: Residual, resources: Ints) -> Options:
        """All options of a residual."""
        num_options, n = residual.gain.shape[0] + 1, residual.num_requests
        gain = np.zeros((num_options, n))
        gain[1:] = offered(residual.gain)
        take = np.zeros((len(resources), num_options, n))
        for row, resource in enumerate(resources.tolist()):
            take[row, 1:] = (residual.blocks, residual.tokens, residual.seqs)[resource]
        return cls(resources, np.array(residual.limits)[resources], gain, take)

    @classmethod
    def of_one(cls, residual: Residual, gain: Floats, resources: Ints) -> Options:
        """One option for each request, of given gain, [n]; memory is none of the resources."""
        both, take = np.zeros((2, len(gain))), np.zeros((len(resources), 2, len(gain)))
        both[1] = offered(gain)
        for row, resource in enumerate(resources.tolist()):
            take[row, 1] = (residual.blocks, residual.tokens, residual.seqs)[resource]
        return cls(resources, np.array(residual.limits)[resources], both, take)

    def some(self, requests: Ints, limits: Floats) -> Options:
        """The options of some requests, with other limits."""
        return Options(self.resources, limits, self.gain.take(requests, axis=1), self.take.take(requests, axis=2))

    @cached_property
    def first(self) -> Ints:
        """Positions of the requests' bases in a flat [(k + 1) n]."""
        return np.arange(self.gain.shape[1])

    def cost(self, rates: Floats) -> Floats:
        """The cost of each option at a rate for each resource, [..., D] -> [..., k + 1, n]."""
        cost: Floats = np.zeros(rates.shape[:-1] + self.gain.shape)
        for resource, take in enumerate(self.take):  # no BLAS: the same to the last bit everywhere
            cost += rates[..., resource, None, None] * take
        return cost

    def used(self, option: Ints) -> Floats:
        """The use of each resource, [D], by one option for each request, [n]."""
        flat = self.take.reshape(len(self.take), self.gain.size)
        used: Floats = np.add.reduce(flat.take(self.position(option), axis=1), axis=1)
        return used

    def position(self, option: Ints) -> Ints:
        """Positions of one option for each request, [n], in a flat [(k + 1) n]."""
        return option * len(option) + self.first

    def more(self, option: int, than: int, request: int) -> list[float]:
        """How much more one option of a request takes of each resource than another, [D]."""
        more: list[float] = (self.take[:, option, request] - self.take[:, than, request]).tolist()
        return more


def offered(gain: Floats) -> Floats:
    """The gains of a residual, -inf where it does not offer the option."""
    return np.where(gain > 0, gain, -np.inf)
