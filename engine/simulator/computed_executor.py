"""An executor that computes no tokens: it says how long a batch takes by a cost model."""

from __future__ import annotations

import numpy as np

from aptsched.scheduling.forms import CacheShape
from aptsched.support.arrays import all_of
from aptsched.support.constant import constant
from engine.simulator.cost import Cost
from engine.simulator.work import work_of
from engine.state.batch import Batch, Step

TOKEN_ID = 0  # the id of every token: requests end by their number of tokens alone


class ComputedExecutor:
    """The executor of a worker whose clock is computed.

    Parameters
    ----------
    cost : Cost
    cache : CacheShape
        With the ratio of every form that batches are in.
    """

    def __init__(self, cost: Cost, cache: CacheShape) -> None:
        self.cost, self.cache = cost, cache

    def run(self, batch: Batch) -> Step:
        """Says how long the batch takes; entries that sample get token 0."""
        samples = batch.samples
        token_ids = constant(TOKEN_ID, len(samples)) if all_of(samples) else np.where(samples, TOKEN_ID, -1)
        return Step(float(self.cost.seconds(work_of(batch, self.cache, self.cost.absorb_up_to))), token_ids)
