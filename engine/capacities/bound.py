"""The rate that no policy passes: each attained request takes memory for a time, and time to compute (theorem 9)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from aptsched.scheduling.forms import CacheForm, CacheShape
from aptsched.support.checks import Floats, Ints
from aptsched.support.errors import InputError
from engine.simulator.affine_time import AffineTime, affine_times
from engine.simulator.cost import Cost
from engine.study.replay import Replay

ENTRY_SHARES = (0.0, 0.5)  # of an iteration's fixed time that entries share by their number; by their blocks the rest
NUM_MOMENTS = 24  # at which what is due by then is counted
ROUNDING = 1e-9  # by which times may be off: what falls due so little later is due, and there is so much more time
SHORTEST_S = 1e-9  # of an objective: shorter ones count as that, by which no more is due
WITHIN = 1.002  # between rates that are told apart
BEST = 3  # ways to count that are tried at each rate, of those that bound a run without end lowest
LOWEST_PER_S = 1e-5  # below which no rate is sought at which there are requests that count
HIGHEST_PER_S = 1e5  # beyond which no bound is sought: so few requests all fit, even if all come at once
P99_GAPS = 100  # from so many gaps on their P99 says nothing of the largest one


@dataclass(frozen=True, eq=False)
class Pool:
    """What the requests of a run share, for the bound.

    Parameters
    ----------
    cost : Cost
    cache : CacheShape
        With the ratio of every form.
    forms : sequence of CacheForm
        Those that requests may be given.
    num_blocks, max_seqs, max_context : int
    """

    cost: Cost
    cache: CacheShape
    forms: Sequence[CacheForm | int]
    num_blocks: int
    max_seqs: int
    max_context: int

    def least_times(self) -> list[LeastTime]:
        """Each way to count what a request takes at least: every one of them bounds every run."""
        return [
            LeastTime(self, time, share)
            for time in affine_times(self.cost, self.cache, self.forms)
            for share in ENTRY_SHARES
        ]


class LeastTime:
    """The least part of all iterations' time that goes to a request's first tokens, by one affine time of these.

    An iteration's fixed time is shared out among its entries, by the blocks they hold and by their number, neither of
    which is above its limit; the rest of its time is theirs already.
    """

    def __init__(self, pool: Pool, time: AffineTime, entry_share: float) -> None:
        size = np.arange(pool.max_context + 1)  # tokens cached at an entry's end
        before = np.maximum(size - 1, 0)
        most = max(pool.cache.tokens_per_block(form) for form in pool.forms)
        by_blocks = (1 - entry_share) * time.fixed_s / pool.num_blocks
        held_s = by_blocks * (-(-size // most)) + entry_share * time.fixed_s / pool.max_seqs
        alone_s = time.decode_s + time.context_s * before  # fed as a decode, one token after cached ones
        part_s = time.prefill_s + time.square_s * (2 * size - 1)  # as one of a chunk
        again_s = np.minimum(  # at the end of a chunk of several, the shortest or all
            time.prefill_s * size + time.square_s * size**2,
            2 * time.prefill_s + time.square_s * np.maximum(4 * size - 4, 0) + time.context_s * np.maximum(size - 2, 0),
        )
        entry_s = held_s + np.minimum(alone_s, again_s)
        prompt_s = np.minimum(part_s, alone_s + held_s)
        prompt_s[0] = entry_s[0] = 0.0
        earlier_s = np.cumsum(prompt_s) - prompt_s  # of a prompt's tokens before the last one
        self._first_s = earlier_s + held_s + np.minimum(part_s, alone_s)
        self._entries_s = np.cumsum(entry_s)

    def seconds(self, num_prompt_tokens: Ints, num_tokens: Ints) -> Floats:
        """Seconds for so many output tokens of each request, [r]; 0 for none."""
        last = np.minimum(num_prompt_tokens + np.maximum(num_tokens, 1) - 1, len(self._entries_s) - 1)
        prompts = np.minimum(num_prompt_tokens, last)
        more_s = self._entries_s[last] - self._entries_s[prompts]
        return np.where(num_tokens > 0, self._first_s[prompts] + more_s, 0.0)


def most_attained(replay: Replay, counted_from_s: float, by_p99: bool, ways: Sequence[LeastTime]) -> float:
    """The largest share of the requests, of those that arrive from a time on, that any run can attain.

    Parameters
    ----------
    replay : Replay
    counted_from_s : float
    by_p99 : bool
        Whether a request attains by its TTFT and its own P99 TBT, in place of the deadlines of its tokens.
    ways : sequence of LeastTime
    """
    counted = replay.arrived_at_s >= counted_from_s
    arrived_s = replay.arrived_at_s[counted]
    prompts, outputs = replay.num_prompt_tokens[counted], replay.num_output_tokens[counted]
    due_last = _due_last(outputs, by_p99)
    ttft_s, tpot_s = (np.maximum(each[counted], SHORTEST_S) for each in replay.objectives_s)
    first_due_s = arrived_s + ttft_s
    end_s = float((first_due_s + (due_last - 1) * tpot_s).max())
    fewest = len(arrived_s)
    for moment_s in np.linspace(arrived_s[0], end_s, NUM_MOMENTS + 1)[1:]:
        due = np.floor((moment_s - first_due_s) / tpot_s + ROUNDING) + 1
        num_due = np.clip(due, 0, due_last).astype(np.int64)
        budget_s = moment_s - arrived_s[0] + ROUNDING * (moment_s + tpot_s.max())
        for way in ways:
            spent_s = np.cumsum(np.sort(way.seconds(prompts, num_due)))
            fewest = min(fewest, int(np.searchsorted(spent_s, budget_s, side="right")))
    return fewest / len(arrived_s)


def bound_per_s(
    replay_at: Callable[[float], Replay], counted_from_s: float, level: float, by_p99: bool, pool: Pool
) -> float:
    """The rate beyond which no run can attain the level, within 0.2%, for the requests of a seed at each rate.

    It is infinite where so few requests are counted that all can attain even if they come at once, or at any rate at
    which there are requests that count.

    Parameters
    ----------
    replay_at : callable
        The requests at a rate.
    counted_from_s : float
    level : float
    by_p99 : bool
        As in `most_attained`.
    pool : Pool
    """
    lengths = replay_at(highest_tried(replay_at, 1.0))
    ways = sorted(pool.least_times(), key=lambda way: _without_end(lengths, level, by_p99, way))[:BEST]

    def can(rate_per_s: float) -> bool:
        return most_attained(replay_at(rate_per_s), counted_from_s, by_p99, ways) >= level

    low = high = highest_tried(replay_at, _without_end(lengths, level, by_p99, ways[0]))
    while not can(low):
        high, low = low, low / 1.5
    while high <= low or can(high):
        low, high = max(low, high), max(low, high) * 1.5
        if high > HIGHEST_PER_S or not _can_be_tried(replay_at, high):
            return math.inf
    while high > low * WITHIN:
        middle = math.sqrt(low * high)
        low, high = (middle, high) if can(middle) else (low, middle)
    return high


def highest_tried(replay_at: Callable[[float], Replay], rate_per_s: float) -> float:
    """The highest of a rate, two thirds of it, and so on, at which there are requests that count.

    Of a short trace with times all arrive before any counts at higher ones. Where there is none, it is a rate below
    `LOWEST_PER_S`, of which `replay_at` says why.
    """
    while rate_per_s > LOWEST_PER_S and not _can_be_tried(replay_at, rate_per_s):
        rate_per_s /= 1.5
    return rate_per_s


def _can_be_tried(replay_at: Callable[[float], Replay], rate_per_s: float) -> bool:
    """Whether there are requests that count at a rate: some arrive in time, and not all before any counts."""
    try:
        replay_at(rate_per_s)
    except InputError:
        return False
    return True


def _without_end(replay: Replay, level: float, by_p99: bool, way: LeastTime) -> float:
    """The rate at which the cheapest requests' time fills all time, were the run without end."""
    num_due = _due_last(replay.num_output_tokens, by_p99)
    num = max(1, math.ceil(level * len(replay)))
    return len(replay) / float(np.sort(way.seconds(replay.num_prompt_tokens, num_due))[:num].sum())


def _due_last(num_output_tokens: Ints, by_p99: bool) -> Ints:
    """How many tokens of each request have a deadline."""
    return np.where(num_output_tokens > P99_GAPS, 1, num_output_tokens) if by_p99 else num_output_tokens


def rate_without_end(replay: Replay, level: float, pool: Pool) -> float:
    """The rate that no policy passes by the deadlines of tokens, were requests such as these to arrive without end."""
    return min(_without_end(replay, level, False, way) for way in pool.least_times())
