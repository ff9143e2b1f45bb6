"""An executor that computes no tokens: it says how long a batch takes by a cost model."""

from __future__ import annotations

import numpy as np

from aptsched.scheduling.forms import CacheShape
from aptsched.support.arrays import all_of
from aptsched.support.checks import Ints
from aptsched.support.constant import constant
from engine.simulator.cost import Cost
from engine.simulator.swap_times import SwapTime
from engine.simulator.work import Amount, work_of, work_of_chunks, work_of_decodes
from engine.state.batch import Batch, Step

TOKEN_ID = 0  # the id of every token: requests end by their number of tokens alone


class ComputedExecutor:
    """The executor of a worker whose clock is computed.

    Parameters
    ----------
    cost : Cost
    cache : CacheShape
        With the ratio of every form that batches are in.
    swap_time : SwapTime, optional
        In place of `Cost.swap_s_per_block`, by which swaps overlap with nothing.
    """

    def __init__(self, cost: Cost, cache: CacheShape, swap_time: SwapTime | None = None) -> None:
        self.cost, self.cache, self.swap_time = cost, cache, swap_time

    def run(self, batch: Batch) -> Step:
        """Says how long the batch takes; entries that sample get token 0."""
        samples = batch.samples
        token_ids = constant(TOKEN_ID, len(samples)) if all_of(samples) else np.where(samples, TOKEN_ID, -1)
        work = work_of(batch, self.cache, self.cost.absorb_up_to)
        if self.swap_time is None:
            return Step(float(self.cost.seconds(work)), token_ids)
        work.swapped_blocks = 0
        return Step(self.swap_time.seconds(batch, float(self.cost.seconds(work))), token_ids)

    def chunks_s(self, start: Ints, fed: Ints) -> Amount:
        """Seconds of an iteration that feeds so many tokens to each request, [b], in KV form, as `work_of_chunks`."""
        return self.cost.seconds(work_of_chunks(start, fed))

    def decodes_s(self, num_left: Ints, cached: Ints) -> Amount:
        """Seconds of each of several iterations in a row that feed one token to each request that is left.

        It is [k], or one number where all take the same. Parameters are as of `work_of_decodes`.
        """
        return self.cost.seconds(work_of_decodes(num_left, cached, self.cache, self.cost.absorb_up_to))
