"""The rate that no policy passes that knows prompts, and how long outputs mostly are after them, but no output."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from aptsched.scheduling.forms import KV
from aptsched.support.checks import Floats, Ints
from benchmarks.opponents.cell import JITTER, SEED, Cell
from engine.capacities.bound import Pool
from engine.capacities.options import CapacityOptions
from engine.study.simulation import cost_of, simulated_server

NUM_SEEDS, RATE_PER_S = 5, 40.0  # by whose requests it is computed, and so many a second of each
GROUPS = 200  # of prompts of like length, as many requests in each


def without_lengths(cell: Cell, level: float) -> float:
    """Requests a second of a cell, on KV, that fill memory and computing if the dearest are dropped by their prompts.

    Each request takes at least the time of theorem 9. Those of a prompt's length cost as much as they do in the mean;
    so many are dropped, those of the dearest lengths, that the level is left. The run is without end.
    """
    options = CapacityOptions(**cell.of, policy=["fcfs"], setting="sustained", level=level, seed=SEED, jitter=JITTER)
    ((setting, objectives),) = options.groups()
    server = simulated_server(options.setup, options.limits)
    cost, limits = cost_of(server), server.limits
    drawn = [each.at(RATE_PER_S, cost) for each in options.arrivals(setting, objectives, NUM_SEEDS)]
    prompts = np.concatenate([each.num_prompt_tokens for each in drawn])
    outputs = np.concatenate([each.num_output_tokens for each in drawn])
    pool = Pool(cost, server.cache, (KV,), server.num_blocks, limits.max_seqs, limits.max_context)
    ways = [way.seconds(prompts, outputs) for way in pool.least_times()]
    return lowest_rate(prompts, ways, level)


def lowest_rate(prompts: Ints, ways: Sequence[Floats], level: float) -> float:
    """Of several ways to count what requests take, [r] seconds each, the lowest rate at which the share kept fits.

    Parameters
    ----------
    prompts : int array, [r]
    ways : sequence of float array, [r]
    level : float
        The share that is kept.
    """
    order = np.argsort(prompts, kind="stable")
    return min(len(prompts) / _kept_s(each[order], level) for each in ways)


def _kept_s(seconds: Floats, level: float) -> float:
    """What those take that are kept, of requests in the order of their prompts: the cheapest groups in the mean."""
    groups = np.array_split(seconds, min(GROUPS, len(seconds)))
    means, sizes = np.array([each.mean() for each in groups]), np.array([len(each) for each in groups])
    cheapest = np.argsort(means, kind="stable")
    before = np.cumsum(sizes[cheapest]) - sizes[cheapest]
    kept = np.clip(level * len(seconds) - before, 0, sizes[cheapest])
    return float(kept @ means[cheapest])
