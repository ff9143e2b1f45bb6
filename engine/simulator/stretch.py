"""Iterations in a row that differ in their times and blocks alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from aptsched.support.checks import Floats, Ints
from aptsched.support.quick_init import of_values
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

    @property
    def last(self) -> Iteration:
        """The last of them."""
        start_s = self.first.start_s if len(self) == 1 else float(self.end_s[-2])
        return self._iteration(len(self) - 1, start_s, float(self.end_s[-1]), self.num_blocks_by_form[-1].tolist())

    def iterations(self) -> Iterator[Iteration]:
        """Each of them, as if it had been taken alone."""
        start_s = self.first.start_s
        each = zip(self.end_s.tolist(), self.num_blocks_by_form.tolist(), strict=True)
        for i, (end_s, held) in enumerate(each):
            yield self._iteration(i, start_s, end_s, held)
            start_s = end_s

    def _iteration(self, i: int, start_s: float, end_s: float, held: list[int]) -> Iteration:
        differing = {"number": self.first.number + i, "start_s": start_s, "end_s": end_s}
        return of_values(Iteration, {**vars(self.first), **differing, "num_blocks_by_form": tuple(held)})
