"""A request's objectives, and the record of how it ended."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from aptsched.scheduling.columns import CountColumns, IdentityColumns, LabelColumns
from aptsched.support import checks
from aptsched.support.checks import Floats
from aptsched.support.quick_init import quick_init


@dataclass(frozen=True)
class SLO:
    """Latency objectives in seconds: time to first token, and time per output token after it.

    Token i, from 1, is due at arrival + `ttft_s` + (i - 1) `tpot_s`. Measures on gaps between tokens (the P99 of a
    request's own, its largest) are held against `tpot_s` too.
    """

    ttft_s: float = 1.0
    tpot_s: float = 1.0

    def __post_init__(self) -> None:
        for name in ("ttft_s", "tpot_s"):
            checks.seconds(name, getattr(self, name), above_0=True)


class Outcome(Enum):
    """How a request ended."""

    FINISHED = "finished"
    ABORTED = "aborted"
    REJECTED = "rejected"
    UNFINISHED = "unfinished"


@quick_init
@dataclass(frozen=True, eq=False)
class RequestRecord(IdentityColumns[int, float], LabelColumns[int], CountColumns[int]):
    """How a request was served and ended: all that the metrics need, with its identity and its counts.

    Attributes
    ----------
    slo : SLO
    token_at_s : float array, [num_output_tokens]
        When each output token came, in seconds on the same clock as the arrival.
    outcome : Outcome
    reason : str
        Why it was rejected or is unfinished; empty otherwise.
    """

    slo: SLO
    token_at_s: Floats
    outcome: Outcome
    reason: str = ""

    @property
    def num_output_tokens(self) -> int:
        """Output tokens: the true length if the request is finished."""
        return len(self.token_at_s)

    def __eq__(self, other: object) -> bool:
        """Whether all fields are equal, each token's time among them."""
        if not isinstance(other, RequestRecord):
            return NotImplemented
        own, its = ({**vars(each), "token_at_s": each.token_at_s.tolist()} for each in (self, other))
        return own == its

    __hash__ = None  # type: ignore[assignment]  # arrays have none
