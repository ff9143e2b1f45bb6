"""How much output a request is expected to generate still, from the lengths seen so far."""

from __future__ import annotations

from dataclasses import dataclass

from aptsched.scheduling.record import Outcome, RequestRecord
from aptsched.scheduling.view import View
from aptsched.support.arrays import sum_of


@dataclass
class OutputLengths:
    """The output of all requests that have ended: of a run, or of a server's life.

    Attributes
    ----------
    num_tokens : int
        Output tokens, of requests that were broken off too.
    num_finished : int
        Requests that came to their own end.
    """

    num_tokens: int = 0
    num_finished: int = 0

    def add(self, record: RequestRecord) -> None:
        """Counts a request that has ended."""
        self.num_tokens += record.num_output_tokens
        self.num_finished += record.outcome is Outcome.FINISHED

    def expected_left(self, view: View) -> float:
        """Output tokens that any unfinished request is expected to generate still; at least 1.

        This is the mean of a geometric length by maximum likelihood, where unfinished requests are censored: all tokens
        generated so far, over the number of requests that finished. Such a length has no memory, so that it is the same
        for a request that has just arrived and for one that has run for long. Until a request finishes, all tokens
        count as of one.
        """
        generated = sum_of(view.num_tokens) - sum_of(view.num_prompt_tokens)
        return max(self.num_tokens + generated, 1) / max(self.num_finished, 1)
