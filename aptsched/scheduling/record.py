"""A request's objectives, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from aptsched.support import checks


@dataclass(frozen=True)
class SLO:
    """Latency objectives: time to first token and time between tokens, in seconds."""

    ttft_s: float = 1.0
    tbt_s: float = 1.0

    def __post_init__(self) -> None:
        for name in ("ttft_s", "tbt_s"):
            checks.seconds(name, getattr(self, name), above_0=True)


class Outcome(Enum):
    """How a request ended."""

    FINISHED = "finished"
    ABORTED = "aborted"
    REJECTED = "rejected"
    UNFINISHED = "unfinished"


@dataclass(frozen=True)
class RequestRecord:
    """What became of a request: all that the metrics need.

    Attributes
    ----------
    request_id : int
    arrived_at_s : float
    num_prompt_tokens : int
    slo : SLO
    token_at_s : tuple of float
        When each output token came, in seconds on the same clock as the arrival.
    outcome : Outcome
    reason : str
        Why it was rejected or is unfinished; empty otherwise.
    num_preemptions, num_promotions, num_swap_outs, num_recomputed_tokens : int
        A promotion is any conversion of the cache in place. A swap-out copies it to the host. Recomputed is what was
        cached, thrown away by a preemption, and fed again.
    """

    request_id: int
    arrived_at_s: float
    num_prompt_tokens: int
    slo: SLO
    token_at_s: tuple[float, ...]
    outcome: Outcome
    reason: str = ""
    num_preemptions: int = 0
    num_promotions: int = 0
    num_swap_outs: int = 0
    num_recomputed_tokens: int = 0
