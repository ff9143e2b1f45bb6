"""What was found: the highest rate that each policy holds, and how many times that of the first policy it is."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from aptsched.metrics.interval import interval
from aptsched.metrics.rate_search import bracket
from engine.capacities.case import Arrivals, Objectives, Probed
from engine.capacities.search import Searched
from engine.capacities.setting import Setting


@dataclass(frozen=True)
class Capacity:
    """The highest rate that a policy holds in a setting, under objectives, at a level.

    Attributes
    ----------
    policy, setting, slo : str
    level : float
    rate_per_s, low, high : float
        Geometric mean over the seeds of the rate that each seed's requests hold, and the ends of its 95% interval; nan
        if with some seed no rate holds. The ends are nan with one seed, and where the rate is a lower bound.
    stable : bool
        Whether with every seed the run at the highest probed rate that holds was stable.
    at_least : bool
        Whether with some seed every rate that was probed holds, so that the rate is a lower bound.
    bound_per_s, share_of_bound : float
        Geometric mean of the rates that no policy with these forms of cache passes, infinite where there is none, nan
        where it was not sought or not found, and the rate over it.
    rates_per_s : tuple of float, [s]
        By seed.
    saturation_tokens_per_s : float
        The most output tokens a second of any run that was made, the mean over the seeds.
    p99_ttft_s, p99_latency_s, rejected, stalled_over_10_s : float
        At the highest probed rate that holds, the means over the seeds.
    tokens_per_request : float
    """

    policy: str
    setting: str
    slo: str
    level: float
    rate_per_s: float
    low: float
    high: float
    stable: bool
    at_least: bool
    bound_per_s: float
    share_of_bound: float
    rates_per_s: tuple[float, ...]
    saturation_tokens_per_s: float
    p99_ttft_s: float
    p99_latency_s: float
    rejected: float
    stalled_over_10_s: float
    tokens_per_request: float


@dataclass(frozen=True)
class Comparison:
    """How many times the rate of another policy a policy holds: the geometric mean of the seeds' ratios."""

    policy: str
    over: str
    setting: str
    slo: str
    level: float
    ratio: float
    low: float
    high: float


@dataclass(eq=False)
class Group:
    """All searches in one setting under one pair of objectives.

    Attributes
    ----------
    setting : Setting
    objectives : Objectives
    arrivals : list of Arrivals
        Of each seed.
    searched : dict
        By policy and number of the seed.
    bounds : dict
        By policy, level and number of the seed.
    num_pilots : int
        Seeds by which it was decided how many there would be.
    """

    setting: Setting
    objectives: Objectives
    arrivals: list[Arrivals]
    searched: dict[tuple[str, int], Searched]
    bounds: dict[tuple[str, float, int], float]
    num_pilots: int

    @property
    def policies(self) -> list[str]:
        """The policies that were searched with every seed, in order."""
        names = dict.fromkeys(policy for policy, _ in self.searched)
        return [name for name in names if all((name, each.number) in self.searched for each in self.arrivals)]

    def rates_per_s(self, policy: str, level: float) -> list[float]:
        """The rate that holds with each seed; nan where none does."""
        return [self.searched[policy, each.number].rate_per_s(level) for each in self.arrivals]

    def capacities(self, levels: Sequence[float]) -> Iterator[Capacity]:
        """What each policy holds, level by level."""
        for level in levels:
            for policy in self.policies:
                yield self._capacity(policy, level)

    def comparisons(self, levels: Sequence[float]) -> Iterator[Comparison]:
        """Each policy but the first over the first."""
        for level in levels:
            for policy in self.policies[1:]:
                first = self.policies[0]
                of_both = zip(self.rates_per_s(policy, level), self.rates_per_s(first, level), strict=True)
                ratio = interval([own / other for own, other in of_both], self.num_pilots)
                case = (self.setting.name, self.objectives.name, level)
                yield Comparison(policy, first, *case, ratio.mean, ratio.low, ratio.high)

    def _capacity(self, policy: str, level: float) -> Capacity:
        searched = [self.searched[policy, each.number] for each in self.arrivals]
        brackets = [bracket(each.probes, level) for each in searched]
        held = [probe for probe, _ in brackets if isinstance(probe, Probed)]
        rates = self.rates_per_s(policy, level)
        at_least = any(failed is None for _, failed in brackets)
        found = interval(rates, self.num_pilots)
        bound = self._bound_per_s(policy, level)
        return Capacity(
            policy=policy,
            setting=self.setting.name,
            slo=self.objectives.name,
            level=level,
            rate_per_s=found.mean,
            low=math.nan if at_least else found.low,
            high=math.nan if at_least else found.high,
            stable=len(held) == len(searched) and all(probe.was_stable is not False for probe in held),
            at_least=at_least,
            bound_per_s=bound,
            share_of_bound=found.mean / bound,
            rates_per_s=tuple(rates),
            saturation_tokens_per_s=_mean([_most([probe.tokens_per_s for probe in each.probes]) for each in searched]),
            p99_ttft_s=_mean([probe.p99_ttft_s for probe in held]),
            p99_latency_s=_mean([probe.p99_latency_s for probe in held]),
            rejected=_mean([probe.rejected for probe in held]),
            stalled_over_10_s=_mean([probe.stalled_over_10_s for probe in held]),
            tokens_per_request=_mean([probe.tokens_per_request for probe in held]),
        )

    def _bound_per_s(self, policy: str, level: float) -> float:
        """The geometric mean over the seeds; nan if one is not known, as its search was ended or failed."""
        bounds = [self.bounds.get((policy, level, each.number), math.nan) for each in self.arrivals]
        return math.exp(sum(map(math.log, bounds)) / len(bounds))


@dataclass(frozen=True)
class Replicas:
    """How many replicas serve a rate, and what their tokens cost.

    Attributes
    ----------
    policy, setting, slo : str
    level : float
    num_replicas : int
        By the low end of the interval of the rate that one holds.
    num_gpus : int
    cost_per_million_tokens : float, optional
        Output tokens, in the currency of the GPU's price; None if it has none.
    """

    policy: str
    setting: str
    slo: str
    level: float
    num_replicas: int
    num_gpus: int
    cost_per_million_tokens: float | None


def replicas_for(
    rate_per_s: float, capacities: Sequence[Capacity], num_gpus: int, price_per_hour: float | None
) -> list[Replicas]:
    """The replicas that serve a rate, with the requests shared out evenly; only of policies that hold a stable rate."""
    found = []
    for each in capacities:
        low = each.rate_per_s if math.isnan(each.low) else each.low
        if not each.stable or math.isnan(low):
            continue
        count = math.ceil(rate_per_s / low)
        price = None if price_per_hour is None else count * num_gpus * price_per_hour
        cost = None if price is None else price / 3600 / (rate_per_s * each.tokens_per_request) * 1e6
        found.append(Replicas(each.policy, each.setting, each.slo, each.level, count, count * num_gpus, cost))
    return found


def _most(values: Sequence[float | None]) -> float:
    return max((value for value in values if value is not None), default=math.nan)


def _mean(values: Sequence[float | None]) -> float:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else math.nan
