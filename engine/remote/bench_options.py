"""The options of `aptsched bench`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urlsplit

from aptsched.scheduling.record import SLO
from aptsched.support.checks import seconds
from aptsched.support.errors import InputError
from aptsched.support.keywords import as_given, check_types
from aptsched.support.several import as_texts
from aptsched.support.shown import shown
from aptsched.workload.ranges import whole
from engine.study.arrival_source import ArrivalSource
from engine.study.serving_options import ArrivalOptions

SECRET = ("api_key",)


@dataclass(frozen=True, kw_only=True, eq=False)
class BenchOptions(ArrivalOptions):
    """Options of `aptsched bench`, by the same names and with the same defaults.

    Parameters
    ----------
    url : str
        Of the server, as http://HOST:PORT; a path after it comes before /v1.
    model : str, optional
        By the name that the server knows; the first that it lists without one.
    name : str, optional
        What tables call the server; the model's name without one.
    trace, workload, rate, cv, num_requests, slo, slo_ttft, slo_tpot, max_prompt_tokens, max_output_tokens, seed
        As in `RunOptions`.
    vocab_size : int
        Prompts are random token ids below that.
    timeout : float
        Seconds for which nothing may come of a request, after which it is unfinished.
    api_key : str, optional
        What the server asks for; it is not recorded.

    Raises
    ------
    InputError
        Names the option, its value and what is accepted.
    """

    url: str
    model: str | None = None
    name: str | None = None
    trace: str | None = None
    workload: str | None = None
    rate: str | float | Iterable[str | float] | None = None
    cv: float | None = None
    num_requests: int | None = None
    slo: str | None = None
    slo_ttft: float | None = None
    slo_tpot: float | None = None
    max_prompt_tokens: int | None = None
    max_output_tokens: int | None = None
    vocab_size: int = 1000
    timeout: float = 600.0
    api_key: str | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        check_types(self)
        object.__setattr__(self, "rate", None if self.rate is None else as_texts("rate", self.rate) or None)
        parts = _parts(self.url)
        if (
            parts is None
            or parts.scheme not in ("http", "https")
            or not parts.hostname
            or parts.query
            or parts.fragment
        ):
            raise InputError(f"url: {shown(self.url)} is not accepted; http://HOST:PORT is")
        _ = self.source, self.rates_per_s, self.slo_of_all  # made now to be checked
        whole("vocab_size", self.vocab_size)
        seconds("timeout", self.timeout, above_0=True)
        for name in ("model", "name", "api_key"):
            given = getattr(self, name)
            if given is not None and not (given and given.isascii() and given.isprintable() and "," not in given):
                raise InputError(f"{name}: {shown(given)} is not accepted; printable ASCII characters but commas are")

    @property
    def slo_of_all(self) -> SLO:
        """The objectives of requests that have none of their own."""
        return self._objectives_of(self.model or "")

    @property
    def source(self) -> ArrivalSource:
        """The source of the requests."""
        clip = {"max_prompt_tokens": self.max_prompt_tokens, "max_output_tokens": self.max_output_tokens}
        return ArrivalSource(self.trace, self.workload, self.num_requests, self.cv, self.seed, **clip)

    def recorded(self, out: str | None, as_json: bool) -> dict[str, Any]:
        """The options as results have them, in order, without the key, with two of the command's own."""
        rate = None if self.rate is None else list(as_texts("rate", self.rate))
        return as_given(self, leave_out=SECRET) | {"rate": rate, "out": out, "as_json": as_json}


def _parts(url: str) -> SplitResult | None:
    """The parts of a URL; None where it has none."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises ValueError where it is no port
    except ValueError:
        return None
    return parts
