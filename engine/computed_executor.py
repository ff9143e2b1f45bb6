"""Runs a batch by computation alone: no tokens, and the time that a cost model says."""

from __future__ import annotations

import numpy as np

from engine.batch import Batch, Step
from engine.cost.work import CostModel, work_of

TOKEN_ID = 0  # of every token made: requests end by their number of tokens


class ComputedExecutor:
    """The executor of a loop under a `VirtualClock`.

    Parameters
    ----------
    cost : CostModel
    """

    def __init__(self, cost: CostModel) -> None:
        self.cost = cost

    def run(self, batch: Batch) -> Step:
        """Says how long the batch takes; entries that sample get token 0."""
        token_ids = batch.samples.astype(np.int64)
        token_ids += TOKEN_ID - 1
        return Step(float(self.cost.seconds(work_of(batch))), token_ids)
