"""Output lengths of requests that finished, by the size of their prompts, from which those of others are predicted."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np

from aptsched.scheduling.record import Outcome, RequestRecord
from aptsched.support.checks import Floats, Ints

FIRST = 256  # tokens that any output is taken to have until a request has finished; assumed
FEWEST = 20  # finished requests with prompts of like size from which on the others are left out
WINDOW = 1000  # finished requests that are kept of each size, the latest

Figure = Callable[[Floats, Ints], Floats]  # from outputs in order, and the first of them that each request may have


class OutputsByPrompt:
    """Learns from requests that have finished, and predicts outputs of others by their prompts and what they generated.

    Prompts are of like size if the same power of 2 is the largest within them. Where fewer than `FEWEST` requests of
    that size have finished, those of all sizes count. What a request has generated rules shorter outputs out; one that
    has outgrown all is taken to generate as much again.
    """

    def __init__(self) -> None:
        self._seen: dict[int, deque[int]] = {}
        self._sorted: dict[int, Floats] = {}  # outputs in order, by size; -1 for all

    def add(self, record: RequestRecord) -> None:
        """Takes note of a request that has ended; only of those that finished."""
        if record.outcome is Outcome.FINISHED:
            size = record.num_prompt_tokens.bit_length()
            self._seen.setdefault(size, deque(maxlen=WINDOW)).append(record.num_output_tokens)
            self._sorted.clear()

    def seen(self) -> Floats:
        """All outputs that are kept, in order."""
        return self._lengths(-1)

    def mean(self, num_prompt_tokens: Ints, generated: Ints) -> Floats:
        """The mean of the outputs that each request, [n], may have, of those seen; above what it has generated."""

        def of(lengths: Floats, first: Ints) -> Floats:
            after = np.concatenate([lengths[::-1].cumsum()[::-1], [0.0]])
            means: Floats = after[first] / np.maximum(len(lengths) - first, 1)
            return means

        return self._predicted(num_prompt_tokens, generated, of)

    def quantile(self, num_prompt_tokens: Ints, generated: Ints, share: float) -> Floats:
        """The length that this share of the outputs that each request, [n], may have do not exceed."""

        def of(lengths: Floats, first: Ints) -> Floats:
            place = first + np.ceil(share * (len(lengths) - first)).astype(np.int64) - 1
            found: Floats = lengths[np.clip(place, 0, len(lengths) - 1)]
            return found

        return self._predicted(num_prompt_tokens, generated, of)

    def _predicted(self, num_prompt_tokens: Ints, generated: Ints, of: Figure) -> Floats:
        predicted = np.empty(len(generated))
        sizes = np.frexp(num_prompt_tokens)[1]
        for size in np.unique(sizes).tolist():
            are = sizes == size
            lengths, done = self._lengths(size), generated[are]
            first = lengths.searchsorted(done, side="right")
            outgrown = 2.0 * np.maximum(done, FIRST / 2)
            predicted[are] = np.where(first < len(lengths), of(lengths, first), outgrown) if len(lengths) else outgrown
        return np.maximum(predicted, generated + 1)

    def _lengths(self, size: int) -> Floats:
        """The outputs that count for prompts of that size, in order."""
        if len(self._seen.get(size, ())) < FEWEST:
            size = -1
        if size not in self._sorted:
            seen = self._seen.values() if size < 0 else [self._seen[size]]
            self._sorted[size] = np.sort(np.array([length for each in seen for length in each], np.float64))
        return self._sorted[size]
