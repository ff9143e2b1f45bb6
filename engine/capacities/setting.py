"""How a rate is tried: which requests arrive, which of them count, and when a request attains its objectives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from aptsched.metrics.service import Metrics
from aptsched.support.plural import how_many


@dataclass(frozen=True)
class Setting:
    """A way to try a rate.

    Attributes
    ----------
    name : str
    slo : str
        Name of the objectives, where none are given.
    by_p99 : bool
        Whether a request attains by its TTFT and the P99 of its own TBT, in place of its tokens' deadlines; what it
        comes to need not be stable then.
    warmup_s : float
        Requests that arrive earlier are served, but not counted.
    duration_s : float, optional
        All requests that arrive earlier are served.
    num_requests : int, optional
        So many are served, in place of a duration.
    """

    name: str
    slo: str
    by_p99: bool
    warmup_s: float = 0.0
    duration_s: float | None = None
    num_requests: int | None = None

    def attained(self, metrics: Metrics) -> float:
        """The share of the requests that attain."""
        return metrics.attained_p99_tbt if self.by_p99 else metrics.attained

    def accepts(self, metrics: Metrics) -> bool:
        """Whether a run may hold a level: it has to be stable, or nobody asks."""
        return self.by_p99 or metrics.stable is not False

    def __str__(self) -> str:
        arrivals = (
            how_many(self.num_requests or 0, "request")
            if self.duration_s is None
            else f"{self.duration_s:g} s of arrivals"
        )
        warmup = f", of which the first {self.warmup_s:g} s do not count" if self.warmup_s else ""
        measure = "TTFT and own P99 TBT" if self.by_p99 else "deadlines of tokens, and stable"
        return f"{self.name}: {arrivals}{warmup}, {measure}"


SETTINGS: Mapping[str, Setting] = MappingProxyType(
    {
        "sustained": Setting("sustained", "chat", False, warmup_s=60.0, duration_s=660.0),
        "paper": Setting("paper", "paper", True, num_requests=1000),
    }
)
