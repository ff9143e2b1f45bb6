"""An iteration and the decodes that follow it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from aptsched.support.checks import Floats, Ints
from aptsched.support.quick_init import of_values
from engine.loop.iteration import Iteration


@dataclass(frozen=True, eq=False)
class Stretch:
    """Iterations in a row, of which all after the first feed a token to each request left, and do nothing else.

    Attributes
    ----------
    first : Iteration
        The first of them, which may feed prompts and preempt others. The decision and its certificate are those of all.
    end_s, scheduling_s : float array, [k]
        When each ends, and the part of it that is scheduling; the next one begins then.
    num_seqs : int array, [k]
        Entries that are left in each iteration.
    num_blocks_by_form : int array, [k, f]
        Blocks of the pool that requests hold in each iteration.
    """

    first: Iteration
    end_s: Floats
    scheduling_s: Floats
    num_seqs: Ints
    num_blocks_by_form: Ints

    def __len__(self) -> int:
        """Number of iterations, k."""
        return len(self.end_s)

    @property
    def last(self) -> Iteration:
        """The last of them."""
        return self._iteration(len(self) - 1)

    def iterations(self) -> Iterator[Iteration]:
        """Each of them, as if it had been taken alone."""
        return map(self._iteration, range(len(self)))

    def _iteration(self, i: int) -> Iteration:
        if not i:
            return self.first
        num_seqs = self.num_seqs[i].item()
        differing = {
            "number": self.first.number + i,
            "start_s": self.end_s[i - 1].item(),
            "end_s": self.end_s[i].item(),
            "scheduling_s": self.scheduling_s[i].item(),
            "num_prefill_tokens": 0,
            "num_preemptions": 0,
            "num_decode_tokens": num_seqs,
            "num_seqs": num_seqs,
            "num_blocks_by_form": tuple(self.num_blocks_by_form[i].tolist()),
        }
        return of_values(Iteration, vars(self.first) | differing)
