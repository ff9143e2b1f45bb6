"""What the options of both serving studies, live and on a computed clock, have in common."""

from __future__ import annotations

from collections.abc import Iterable

from aptsched.metrics.slo_presets import preset
from aptsched.scheduling.record import SLO
from aptsched.support.keywords import check_types
from aptsched.support.several import as_texts, numbers
from engine.loop.limits import Limits
from engine.study.named_policies import Policies, listed, recorded_policies


class ArrivalOptions:
    """What follows from options of rates and objectives, which are fields of frozen dataclasses."""

    rate: str | float | Iterable[str | float] | None
    slo: str | None
    slo_ttft: float | None
    slo_tpot: float | None

    def _objectives_of(self, model: str) -> SLO:
        """The objectives of all: those of the preset, with the single ones that are given in their place."""
        of_all = SLO() if self.slo is None else preset(self.slo, model)
        ttft_s = of_all.ttft_s if self.slo_ttft is None else self.slo_ttft
        return SLO(ttft_s, of_all.tpot_s if self.slo_tpot is None else self.slo_tpot)

    @property
    def slo_notices(self) -> list[str]:
        """That a single objective is given beside a preset, and wins."""
        given = {"--slo-ttft": self.slo_ttft, "--slo-tpot": self.slo_tpot}
        over = [f"{name} {value:g}" for name, value in given.items() if value is not None]
        return [f"{' and '.join(over)} in place of what --slo {self.slo} says."] if self.slo and over else []

    @property
    def rates_per_s(self) -> list[float]:
        """The rates, rising; empty where the trace's own is used."""
        return [] if self.rate is None else sorted(numbers("rate", as_texts("rate", self.rate), float))


class ServingOptions(ArrivalOptions):
    """What follows from the options of both studies, which are frozen dataclasses, each with an order of its own."""

    policy: Policies
    max_tokens: int
    max_seqs: int

    def _check_given(self) -> None:
        """Check the fields of plain types, and keep what may be given in several ways as tuples.

        Raises
        ------
        InputError
            Names the option, its value and what is accepted.
        """
        check_types(self)
        object.__setattr__(self, "policy", listed(self.policy))
        object.__setattr__(self, "rate", None if self.rate is None else as_texts("rate", self.rate) or None)

    @property
    def limits(self) -> Limits:
        """The limits of an iteration."""
        return Limits(self.max_tokens, self.max_seqs)

    def _recorded_plainly(self) -> dict[str, list[str] | None]:
        """Policies and rates as results have them."""
        rate = None if self.rate is None else list(as_texts("rate", self.rate))
        return {"policy": recorded_policies(self.policy), "rate": rate}
