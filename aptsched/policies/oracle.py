"""True output lengths, which no policy may see except one that says so by asking for them when it is made."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aptsched.support import checks
from aptsched.support.checks import Ints
from aptsched.support.errors import InputError


@dataclass(frozen=True, eq=False)
class TrueLengths:
    """The true number of output tokens of each request.

    Parameters
    ----------
    request_id : int array, [r]
        Each once.
    num_output_tokens : int array, [r]
    """

    request_id: Ints
    num_output_tokens: Ints

    def __post_init__(self) -> None:
        shape = (len(self.request_id),)
        numbers = checks.counts("request_id", self.request_id, shape)
        lengths = checks.counts("num_output_tokens", self.num_output_tokens, shape)
        order = np.argsort(numbers, kind="stable")
        if (np.diff(numbers[order]) == 0).any():
            raise InputError("request_id: a number is there twice; each once is accepted")
        object.__setattr__(self, "request_id", numbers[order])
        object.__setattr__(self, "num_output_tokens", lengths[order])

    def of(self, request_id: Ints) -> Ints:
        """The lengths of these requests, [n].

        Raises
        ------
        InputError
            A request of which the length is not known.
        """
        at = np.minimum(np.searchsorted(self.request_id, request_id), max(0, len(self.request_id) - 1))
        unknown = np.flatnonzero(self.request_id[at] != request_id) if len(self.request_id) else request_id
        if len(unknown):
            raise InputError(f"oracle: the length of request {request_id[unknown[0]]} is not known; all are needed")
        return self.num_output_tokens[at]
