"""The numbers that Apt-Serve's authors published, one row each: where, what, on which setting, and the value.

Source: Gao et al., Apt-Serve (SIGMOD 2025, doi 10.1145/3725394, arXiv 2504.07494), section 6. Where the text gives no
figure or table of a number, its section is named.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

OPT = ("opt-13b", "opt-30b", "opt-66b")
LONG = ("llama-3-8b-262k", "yi-6b-200k")
NUM_GPUS: Mapping[str, int] = {"opt-13b": 1, "opt-30b": 2, "opt-66b": 4}  # A100-40GB, tensor parallel
SETS = ("sharegpt", "humaneval", "longbench")
LONG_SETS = ("wikitext", "arxiv", "bookcorpus")
POLICIES: Mapping[str, str] = {
    "Apt-Serve": "aptserve:as=paper",
    "KV cache only": "aptserve:as=paper:forms=kv",
    "hybrid cache, FCFS": "aptserve:order=fcfs",
    "vLLM": "fcfs",
    "Sarathi-Serve": "sarathi",
    "DeepSpeed-FastGen": "fastgen",
}  # what stands for each system here
KV_ALONE = (
    "fcfs",
    "sarathi",
    "fastgen",
    "aptserve:as=paper:forms=kv",
)  # of these: what is said of hidden states changes nothing


class Quantity(StrEnum):
    """What a number says."""

    CAPACITY = "rate that holds the level"
    CAPACITY_RATIO = "ratio of rates"
    ATTAINMENT = "within both objectives"
    ATTAINMENT_RATIO = "ratio of shares within both"
    TBT_ATTAINMENT = "within the TBT objective, at most"
    STARVED = "starved by the fallback"
    DECISION = "time of one decision"
    CALIBRATION = "time to calibrate rho"


UNITS: Mapping[Quantity, str] = {
    Quantity.CAPACITY: "req/s",
    Quantity.CAPACITY_RATIO: "x",
    Quantity.ATTAINMENT_RATIO: "x",
    Quantity.DECISION: "s",
    Quantity.CALIBRATION: "s",
}  # the others are shares


@dataclass(frozen=True, kw_only=True)
class Published:
    """A published number.

    Attributes
    ----------
    source : str
        Figure, table or section.
    quantity : Quantity
    value : float
        In req/s, seconds, or as a ratio or share of 1.
    system, other : str, str or None
        The system that it is of, and the one that it is held against; names in `POLICIES`.
    over : str or None
        "mean" or "most" over all models and sets; None where there is one setting.
    models, sets : tuple of str
        Names of models, and of the lengths of requests; none where the number is of no setting. The text at hand does
        not name the models of tables 4 and 5 and of figures 9 and 10: the first one stands for them.
    cv : float or None
        Coefficient of variation of the gaps between arrivals; None over a sweep of them.
    level : float or None
        Share of requests that have to be within their objectives, where a rate is given.
    rate_per_s : float or None
        Of arrivals, where a share is given.
    num_candidates : int or None
        Requests that a decision is about.
    """

    source: str
    quantity: Quantity
    value: float
    system: str = "Apt-Serve"
    other: str | None = None
    over: str | None = None
    models: tuple[str, ...] = ("opt-13b",)
    sets: tuple[str, ...] = ("sharegpt",)
    cv: float | None = 1.0
    level: float | None = None
    rate_per_s: float | None = None
    num_candidates: int | None = None

    @property
    def shown(self) -> str:
        """The value with its unit."""
        unit = UNITS.get(self.quantity, "%")
        if unit == "%":
            return f"{100 * self.value:g}%"
        return f"{self.value * 1e3:g} ms" if unit == "s" and self.value < 1 else f"{self.value:g} {unit}"

    @property
    def setting(self) -> str:
        """The setting in words."""
        parts = [f"{self.over} of"] if self.over else []
        parts += ["all OPT models" if self.models == OPT else ", ".join(self.models)] if self.models else []
        parts += ["on all sets" if self.sets == SETS else f"on {', '.join(self.sets)}"] if self.sets else []
        parts += ["over CVs"] if self.cv is None else []
        parts += [] if self.level is None else [f"at {self.level:.0%}"]
        parts += [] if self.rate_per_s is None else [f"at {self.rate_per_s:g} req/s"]
        parts += [] if self.num_candidates is None else [f"{self.num_candidates} candidates"]
        return " ".join(parts)


def _ratios(
    values: Sequence[float], level: float, over: str | None = None, sets: tuple[str, ...] = SETS
) -> tuple[Published, ...]:
    """Rates of Apt-Serve over those of its three baselines, over all models."""
    return tuple(
        Published(
            source="section 6",
            quantity=Quantity.CAPACITY_RATIO,
            value=value,
            other=other,
            over=over,
            models=OPT,
            sets=sets,
            level=level,
        )
        for other, value in zip(("vLLM", "Sarathi-Serve", "DeepSpeed-FastGen"), values, strict=True)
    )


def _pair(source: str, others: str, values: tuple[float, float], data: str, rate_per_s: float) -> Iterator[Published]:
    """Attainment of another system and of Apt-Serve, side by side."""
    for system, value in zip((others, "Apt-Serve"), values, strict=True):
        yield Published(
            source=source,
            quantity=Quantity.ATTAINMENT,
            value=value,
            system=system,
            sets=(data,),
            rate_per_s=rate_per_s,
        )


PUBLISHED: tuple[Published, ...] = (
    *_ratios((2.3, 1.9, 1.8), 0.9, "mean"),
    *_ratios((4.0, 3.4, 3.3), 0.9, "most"),
    *_ratios((4.9, 4.4, 4.3), 0.6, "mean"),
    *_ratios((8.8, 7.9, 7.5), 0.6, "most"),
    *_ratios((7.4, 6.8, 6.4), 0.6, "mean", ("sharegpt",)),
    *_ratios((2.8, 2.5, 2.3), 0.9, "mean", ("longbench",)),
    *_ratios((1.7, 1.4, 1.4), 0.9, "mean", ("humaneval",)),
    Published(source="figures 1, 2", quantity=Quantity.CAPACITY, value=2.6, system="vLLM", level=0.9),
    Published(source="figures 1, 2", quantity=Quantity.ATTAINMENT, value=0.7, system="vLLM", rate_per_s=3.0),
    *_pair("table 4", "KV cache only", (0.995, 0.995), "sharegpt", 3.0),
    *_pair("table 4", "KV cache only", (0.657, 0.673), "sharegpt", 6.0),
    *_pair("table 4", "KV cache only", (0.700, 0.776), "longbench", 3.0),
    *_pair("table 5", "hybrid cache, FCFS", (0.118, 0.982), "longbench", 1.5),
    Published(
        source="figure 9", quantity=Quantity.ATTAINMENT_RATIO, value=7.5, other="vLLM", over="most", sets=SETS, cv=None
    ),
    Published(source="figure 10", quantity=Quantity.STARVED, value=0.1),
    Published(source="table 6", quantity=Quantity.DECISION, value=0.3e-3, models=(), sets=(), num_candidates=50),
    Published(source="table 6", quantity=Quantity.DECISION, value=10.8e-3, models=(), sets=(), num_candidates=1600),
    Published(source="section 5", quantity=Quantity.CALIBRATION, value=30.0, sets=()),
    *(
        Published(
            source="section 6.7",
            quantity=Quantity.TBT_ATTAINMENT,
            value=0.6,
            system=system,
            models=LONG,
            sets=LONG_SETS,
            rate_per_s=0.5,
        )
        for system in ("vLLM", "Apt-Serve")
    ),
)
