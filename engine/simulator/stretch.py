"""Iterations in a row that differ in their times and blocks alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from aptsched.support.checks import Floats, Ints
from engine.loop.iteration import Iteration


@dataclass(frozen=True, eq=False)
class Stretch:
    """Iterations in a row with one plan that holds: each feeds a token to every entry, and nothing else happens.

    Attributes
    ----------
    first : Iteration
        The first of them. The decision and its certificate are those of all.
    end_s : float array, [k]
        When each ends; the next one begins then.
    num_blocks_by_form : int array, [k, f]
        Blocks of the pool that requests hold in each iteration.
    """

    first: Iteration
    end_s: Floats
    num_blocks_by_form: Ints

    def __len__(self) -> int:
        """Number of iterations, k."""
        return len(self.end_s)

    def iterations(self) -> Iterator[Iteration]:
        """Each of them, as if it had been taken alone."""
        start_s = self.first.start_s
        each = zip(self.end_s.tolist(), self.num_blocks_by_form.tolist(), strict=True)
        for number, (end_s, held) in enumerate(each, self.first.number):
            yield replace(self.first, number=number, start_s=start_s, end_s=end_s, num_blocks_by_form=tuple(held))
            start_s = end_s
