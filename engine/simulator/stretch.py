"""Iterations in a row, taken at once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from aptsched.support.checks import Bools, Floats, Ints
from aptsched.support.quick_init import of_values
from engine.loop.iteration import Iteration


class Fed(NamedTuple):
    """What an iteration feeds that is no decode of all its entries, and how many it preempts."""

    num_prefill_tokens: int
    num_decode_tokens: int
    num_preemptions: int


class Moves(NamedTuple):
    """Caches that come into the pool, or are thrown away, each at the start of an iteration, in order, [m]."""

    at_s: Floats
    request_id: Ints
    comes: Bools


NO_MOVES = Moves(np.empty(0), np.empty(0, np.int64), np.empty(0, np.bool_))


@dataclass(frozen=True, eq=False)
class Stretch:
    """Iterations in a row, of which all after the first feed a token to each of their entries, but where `fed` says.

    Attributes
    ----------
    first : Iteration
        The first of them, which may feed prompts and preempt others. The decision and its certificate are those of all.
    end_s, scheduling_s : float array, [k]
        When each ends, and the part of it that is scheduling; the next one begins then.
    num_seqs : int array, [k]
        Entries of each iteration.
    num_blocks_by_form : int array, [k, f]
        Blocks of the pool that requests hold in each iteration.
    num_waiting : int array, [k]
        As `Iteration.num_waiting` of each.
    fed : mapping of int to Fed
        What iterations after the first do that feed prompts or preempt others, by their place.
    moves : Moves
        Of those that `fed` tells of.
    """

    first: Iteration
    end_s: Floats
    scheduling_s: Floats
    num_seqs: Ints
    num_blocks_by_form: Ints
    num_waiting: Ints
    fed: Mapping[int, Fed] = field(default_factory=dict)
    moves: Moves = NO_MOVES

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
        fed = self.fed.get(i, Fed(0, num_seqs, 0))
        differing = {
            "number": self.first.number + i,
            "start_s": self.end_s[i - 1].item(),
            "end_s": self.end_s[i].item(),
            "scheduling_s": self.scheduling_s[i].item(),
            **fed._asdict(),
            "num_seqs": num_seqs,
            "num_waiting": self.num_waiting[i].item(),
            "num_blocks_by_form": tuple(self.num_blocks_by_form[i].tolist()),
        }
        return of_values(Iteration, vars(self.first) | differing)


def lone(iteration: Iteration) -> Stretch:
    """An iteration as a stretch of itself alone."""
    return Stretch(
        first=iteration,
        end_s=np.array([iteration.end_s]),
        scheduling_s=np.array([iteration.scheduling_s]),
        num_seqs=np.array([iteration.num_seqs]),
        num_blocks_by_form=np.array([iteration.num_blocks_by_form]),
        num_waiting=np.array([iteration.num_waiting]),
    )
