"""The lengths of the outputs that ended last, in order: each length once, with its count."""

from __future__ import annotations

from collections import deque

import numpy as np

from aptsched.support.checks import Ints


class RecentLengths:
    """So many lengths at most, of which the oldest goes; what it takes to read them depends on how many differ.

    Parameters
    ----------
    first : int
        The length of those that it begins with.
    num_first, max_lengths : int
        How many these are, at least 1, and how many there may be.
    """

    def __init__(self, first: int, num_first: int, max_lengths: int) -> None:
        self._by_age, self._max_lengths = deque([first] * num_first), max_lengths
        self._values, self._counts = np.array([first]), np.array([num_first])

    def __len__(self) -> int:
        """How many there are."""
        return len(self._by_age)

    @property
    def largest(self) -> int:
        """The largest one."""
        return int(self._values[-1])

    def add(self, length: int) -> None:
        """Take note of one more."""
        if len(self._by_age) == self._max_lengths:
            self._count(self._by_age.popleft(), -1)
        self._by_age.append(length)
        self._count(length, 1)

    def num_up_to(self, lengths: Ints) -> Ints:
        """How many are no larger than each of these, [k]."""
        before = np.concatenate([[0], self._counts.cumsum()])
        found: Ints = before[self._values.searchsorted(lengths, side="right")]
        return found

    def at(self, places: Ints) -> Ints:
        """Those at these places, [k], from 0, in rising order."""
        found: Ints = self._values[self._counts.cumsum().searchsorted(places, side="right")]
        return found

    def _count(self, length: int, by: int) -> None:
        """Count a length once more, or once less."""
        at = int(self._values.searchsorted(length))
        if at == len(self._values) or self._values[at] != length:
            self._values, self._counts = np.insert(self._values, at, length), np.insert(self._counts, at, 0)
        self._counts[at] += by
        if not self._counts[at]:
            self._values, self._counts = np.delete(self._values, at), np.delete(self._counts, at)
