"""Options of a search: what they come to, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from aptsched.scheduling.record import SLO
from aptsched.support.errors import InputError
from aptsched.workload.own_columns import OwnColumns
from aptsched.workload.trace import Trace
from engine import CapacityOptions
from engine.capacities.case import windows
from engine.capacities.found import Capacity, replicas_for
from engine.capacities.kept import described
from engine.study.arrival_source import ArrivalSource


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"level": 1.2}, "level: 1.2 is not accepted"),
        ({"level": "a"}, "level: 'a' is not accepted"),
        ({"setting": "long"}, "setting: 'long' is not accepted; sustained, paper are"),
        (
            {"objectives": "fast"},
            "slo: 'fast' is not known; chat, .* accepted; two numbers of seconds, such as 1/0.2, are",
        ),
        ({"objectives": "1/-2"}, "slo: '1/-2' is not accepted"),
        ({"seeds": 0}, "seeds: 0 is not accepted"),
        ({"half_width": 1.5}, "half_width: 1.5 is not accepted"),
        ({"gpus_for": -1.0}, "gpus_for: -1.0 is not accepted"),
        ({"rate": [1, 2]}, "rate: "),
        ({"slo_ttft": 2.0}, "slo_ttft, slo_tpot: these are not accepted here"),
        ({"warmup": 700.0}, "warmup: 700.0 is not accepted; 0 to less than the duration, 660, is"),
        ({"duration": None}, "duration"),
    ],
)
def test_what_is_refused(given: dict[str, Any], message: str) -> None:
    """By one message with the option and what is accepted."""
    with pytest.raises(InputError, match=message):
        CapacityOptions(workload="sharegpt", **given)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, []),
        ({"duration": 9.0, "warmup": 2.0, "num_requests": 5}, []),
        (
            {"setting": "paper", "duration": 9.0, "warmup": 2.0},
            [
                f"--{each} is of the setting sustained, which is not asked for."
                for each in ("duration 9.0", "warmup 2.0")
            ],
        ),
        (
            {"setting": "sustained", "num_requests": 5},
            ["--num-requests 5 is of the setting paper, which is not asked for."],
        ),
        ({"seeds": 1, "half_width": 0.1}, ["--half-width 0.1 adds no seeds: one seed has no interval."]),
        (
            {"workload": None, "trace": [(at, 10, 5) for at in range(20)], "half_width": 0.1},
            ["--half-width 0.1 adds no seeds: a trace with times has no further parts."],
        ),
    ],
)
def test_what_is_given_and_not_used_is_said(given: dict[str, Any], said: list[str]) -> None:
    """Options of a setting that is not asked for, and a half width that can add no seeds."""
    assert CapacityOptions(**{"workload": "sharegpt"} | given).unused_notices == said


def test_settings_under_several_objectives() -> None:
    """Each setting has its own objectives, unless some are given: then each has all of them."""
    own = [(setting.name, each.name) for setting, each in CapacityOptions(workload="sharegpt").groups()]
    assert own == [("sustained", "chat"), ("paper", "paper")]
    both = CapacityOptions(workload="sharegpt", objectives=["chat", "2/0.1"], setting="sustained")
    assert [each.slo for _, each in both.groups()] == [SLO(1.0, 0.2), SLO(2.0, 0.1)]


def test_levels_are_sought_from_the_highest_on() -> None:
    """Each once, however they are given."""
    assert CapacityOptions(workload="sharegpt", level="0.6,0.99,0.9,0.6").levels == [0.99, 0.9, 0.6]


def test_seeds_of_a_trace_with_times_share_no_request() -> None:
    """They are its parts, in order, as many requests each; the first of each comes at 0."""
    trace = Trace(np.arange(21.0), np.arange(1, 22), np.ones(21, np.int64))
    parts = [each.trace for each in windows(ArrivalSource(trace), 3)]
    assert all(isinstance(part, Trace) and part.arrived_at_s is not None for part in parts)
    assert [list(part.prompt_tokens) for part in parts if isinstance(part, Trace)] == [
        list(range(1, 8)),
        list(range(8, 15)),
        list(range(15, 22)),
    ]
    first = [part.arrived_at_s[0] for part in parts if isinstance(part, Trace) and part.arrived_at_s is not None]
    assert first == [0.0, 0.0, 0.0]
    with pytest.raises(
        InputError, match="trace: it has 21 requests for 11 seeds; at least 2 for each seed are accepted"
    ):
        windows(ArrivalSource(trace), 11)


def test_a_trace_is_known_by_all_that_its_rows_say() -> None:
    """Lengths, arrivals, objectives and priorities of their own."""
    lengths = {"prompt_tokens": np.arange(1, 4), "output_tokens": np.ones(3, np.int64)}
    rows: dict[str, Any] = {"arrived_at_s": np.arange(3.0), **lengths}
    others: list[dict[str, Any]] = [
        {},
        {"arrived_at_s": None},
        {"arrived_at_s": 2 * np.arange(3.0)},
        {"prompt_tokens": np.arange(2, 5)},
        {"own": OwnColumns(slo_ttft_s=np.ones(3))},
        {"own": OwnColumns(slo_tpot_s=np.ones(3))},
        {"own": OwnColumns(priority=np.ones(3, np.int64))},
    ]
    digests = [described(ArrivalSource(Trace(**rows | other)))["trace"] for other in others]
    assert len(set(digests)) == len(others)
    assert digests[0] == described(ArrivalSource(Trace(**rows)))["trace"]


def test_seeds_of_lengths_are_drawn() -> None:
    """From the given seed on."""
    trace = Trace(None, np.arange(1, 22), np.ones(21, np.int64))
    assert [each.seed for each in windows(ArrivalSource(trace, seed=4), 3)] == [4, 5, 6]


def held(low: float, stable: bool = True) -> Capacity:
    """A policy that holds 2 requests a second, of 100 tokens each."""
    return Capacity(
        policy="fcfs",
        setting="sustained",
        slo="chat",
        level=0.9,
        rate_per_s=2.0,
        low=low,
        high=2.1,
        stable=stable,
        at_least=False,
        bound_per_s=4.0,
        share_of_bound=0.5,
        rates_per_s=(2.0,),
        saturation_tokens_per_s=210.0,
        p99_ttft_s=1.0,
        p99_latency_s=20.0,
        rejected=0.0,
        stalled_over_10_s=0.0,
        tokens_per_request=100.0,
    )


def test_replicas_are_counted_by_the_low_end_of_the_interval() -> None:
    """For 10 requests a second at 1.9 each 6 replicas of 2 GPUs; at 3 an hour that is 36 for 3.6 million tokens."""
    (found,) = replicas_for(10.0, [held(1.9)], 2, 3.0)
    assert (found.num_replicas, found.num_gpus) == (6, 12)
    assert found.cost_per_million_tokens == pytest.approx(36 / 3.6)


def test_replicas_are_only_said_of_what_is_stable() -> None:
    """A rate that cannot be sustained serves nobody in the long run; and without a price there is no cost."""
    assert replicas_for(10.0, [held(1.9, stable=False)], 2, 3.0) == []
    assert replicas_for(10.0, [held(1.9)], 2, None)[0].cost_per_million_tokens is None
