"""Intervals of rates: how often they cover a capacity that is known, and how wide they are."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest

from aptsched.metrics.interval import T, interval, seeds_needed
from aptsched.metrics.rate_search import Probe, crossing_rate, next_rate
from aptsched.support.errors import InputError

CAPACITY_PER_S = 2.0
NUM_SEEDS, MOST_SEEDS, HALF_WIDTH = 5, 30, 0.04
NUM_RUNS = 400


@dataclass(frozen=True)
class Synthetic:
    """A policy whose share of attained requests falls with the rate along a logistic curve, with known capacity.

    `steep` is the slope of the curve over the logarithm of the rate, `shift` the standard deviation of a seed's own
    capacity, `num_requests` those of each probe, drawn anew with it (0 for none), `wave` the height of a wave in the
    shares, `level` the level sought; `unstable` says that no rate beyond the capacity is stable, whatever its share.
    """

    steep: float
    shift: float
    num_requests: int = 0
    wave: float = 0.0
    level: float = 0.9
    unstable: bool = False

    def found(self, rng: np.random.Generator, first_per_s: float) -> float:
        """The rate that the search finds with one seed."""
        own_per_s = CAPACITY_PER_S * math.exp(self.shift * rng.normal())
        probes: list[Probe] = []
        while (rate := next_rate(probes, self.level, first_per_s)) is not None:
            share = self._share(rng, math.log(rate / own_per_s))
            stable = not self.unstable or rate < own_per_s
            probes.append(Probe(rate, share if share > self.level - 0.1 else None, stable))
        return crossing_rate(probes, self.level)

    def _share(self, rng: np.random.Generator, beyond: float) -> float:
        at_level = math.log(self.level / (1 - self.level)) + (1 if self.unstable else 0)
        share = 1 / (1 + math.exp(self.steep * beyond - at_level))
        share += self.wave * math.sin(40 * beyond) * (beyond < -0.1)
        return rng.binomial(self.num_requests, min(share, 1)) / self.num_requests if self.num_requests else share


POLICIES = {
    "a steep curve, shifted by the seed": Synthetic(40, 0.04),
    "a flat curve, a few requests": Synthetic(5, 0.0, 300),
    "a flat curve, many requests": Synthetic(5, 0.0, 2000),
    "shifted, and noise": Synthetic(10, 0.04, 600),
    "shifted by 5%, and much noise": Synthetic(10, 0.05, 300),
    "a steep curve and noise": Synthetic(30, 0.0, 300),
    "unstable beyond a rate": Synthetic(10, 0.05, 600, unstable=True),
    "shares that rise and fall": Synthetic(10, 0.03, 1000, wave=0.01),
    "a level of 99%": Synthetic(15, 0.03, 1000, level=0.99),
}


@pytest.mark.parametrize("name", POLICIES)
def test_the_interval_covers_the_capacity_in_nine_of_ten_runs_and_is_narrow(name: str) -> None:
    """With as many seeds as 4% take, in 400 runs; the mean half of its width is at most 4%."""
    rng, covered, halves = np.random.default_rng(0), 0, []
    for _ in range(NUM_RUNS):
        rates = [POLICIES[name].found(rng, 1.6)]
        while len(rates) < NUM_SEEDS:
            rates.append(POLICIES[name].found(rng, rates[0]))
        num_seeds = seeds_needed(rates, HALF_WIDTH, MOST_SEEDS)
        rates += [POLICIES[name].found(rng, rates[0]) for _ in range(num_seeds - NUM_SEEDS)]
        found = interval(rates, NUM_SEEDS)
        covered += found.low <= CAPACITY_PER_S <= found.high
        halves.append(math.sqrt(found.high / found.low) - 1)
    assert covered >= 0.9 * NUM_RUNS
    assert np.mean(halves) <= HALF_WIDTH


def test_adding_seeds_until_it_is_narrow_leaves_the_interval_its_coverage() -> None:
    """Of 4,000 runs on normal logarithms 95% are covered, within 1.2%, though the number of seeds depends on them."""
    rng, covered, num_runs = np.random.default_rng(3), 0, 4000
    for _ in range(num_runs):
        pilots = np.exp(rng.normal(0, 0.05, NUM_SEEDS)).tolist()
        more = seeds_needed(pilots, HALF_WIDTH, 100) - NUM_SEEDS
        found = interval([*pilots, *np.exp(rng.normal(0, 0.05, more))], NUM_SEEDS)
        covered += found.low <= 1 <= found.high
    assert covered / num_runs == pytest.approx(0.95, abs=0.012)


def test_paired_ratios_tell_policies_apart_that_intervals_do_not() -> None:
    """Two policies 3% apart on seeds that differ by 5%: their intervals overlap, the ratio's does not reach 1."""
    rng = np.random.default_rng(5)
    of_seed = np.exp(rng.normal(0, 0.05, 5))
    first, second = 2.0 * of_seed, 2.06 * of_seed * np.exp(rng.normal(0, 0.002, 5))
    assert interval(first.tolist()).high > interval(second.tolist()).low
    ratio = interval((second / first).tolist())
    assert 1 < ratio.low < 1.03 < ratio.high


def test_an_interval_by_hand() -> None:
    """Of 1, 2, 4 the mean is 2, and its ends are 2 times and 1 over exp(4.3027 log(2) / sqrt(3))."""
    found = interval([1.0, 2.0, 4.0])
    factor = math.exp(4.3027 * math.log(2) / math.sqrt(3))
    assert (found.mean, found.low, found.high) == pytest.approx((2.0, 2 / factor, 2 * factor))


def test_one_seed_has_a_mean_and_no_interval() -> None:
    """There is nothing that a deviation could be estimated from."""
    found = interval([2.0])
    assert found.mean == pytest.approx(2.0)
    assert math.isnan(found.low)
    assert math.isnan(found.high)


def test_a_seed_without_a_rate_leaves_none_and_asks_for_no_more_seeds() -> None:
    """A policy that holds the level at no rate with one of the seeds has no mean."""
    assert math.isnan(interval([2.0, math.nan, 2.1]).mean)
    assert seeds_needed([2.0, math.nan, 2.1], 0.04, 20) == 3


def test_seeds_needed_by_hand() -> None:
    """2.7764 times a deviation of 5% over 4% (of the logarithm) is squared: 12.5, so 13 seeds, or as many as may be."""
    pilots = np.exp(0.05 * np.array([-1.0, -1.0, 0.0, 1.0, 1.0])).tolist()  # a deviation of 0.05
    assert seeds_needed(pilots, 0.04, 30) == 13
    assert seeds_needed(pilots, 0.04, 8) == 8
    assert seeds_needed(pilots, 0.5, 30) == 5
    assert seeds_needed(pilots, 5e-324, 30) == seeds_needed(pilots, 1e-200, 30) == 30


@pytest.mark.parametrize("half_width", [0.0, 1.0, math.nan])
def test_a_half_width_is_a_share(half_width: float) -> None:
    """Others are refused by name."""
    with pytest.raises(InputError, match="half_width"):
        seeds_needed([1.0, 2.0], half_width, 30)


def test_the_quantiles_are_those_of_scipy() -> None:
    """To four digits."""
    from scipy.stats import t

    np.testing.assert_allclose(T, t.ppf(0.975, range(1, len(T) + 1)), atol=5e-5)
