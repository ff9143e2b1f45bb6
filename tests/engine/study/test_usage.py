"""What the iterations of a run come to, by hand."""

from __future__ import annotations

import dataclasses
import math

from aptsched.scheduling.forms import CacheForm
from caches import by_form
from engine.loop.iteration import Iteration
from engine.study.usage import UsageMeter

ITERATION = Iteration(0, 0.0, 1.0, 0.1, 8, 2, 3, by_form(kv=4, hidden=2), 1, 0, 0, 0, 0, 0, 0, None, None)


def test_usage_by_hand() -> None:
    """Two iterations, of 1 s with 4 + 2 of 10 blocks and of 3 s with 8 + 0: 28 and 2 of 40 block-seconds."""
    meter = UsageMeter(10)
    assert math.isnan(meter.usage().share_of(CacheForm.KV)) and meter.usage().gap_mean is None
    meter.add(ITERATION)
    meter.add(dataclasses.replace(ITERATION, start_s=1.0, end_s=4.0, num_blocks_by_form=by_form(kv=8)))
    usage = meter.usage()
    assert [usage.share_of(form) for form in (CacheForm.KV, CacheForm.HIDDEN)] == [0.7, 0.05]
    assert usage.scheduling_share == 0.05
    assert (usage.num_iterations, usage.num_prefill_tokens, usage.num_decode_tokens) == (2, 16, 4)
    points = [(p.start_s, p.end_s, p.num_blocks_by_form[CacheForm.KV]) for p in usage.timeline]
    assert points == [(0.0, 1.0, 4.0), (1.0, 4.0, 8.0)]


def test_a_warm_up_is_left_out_of_usage_by_hand() -> None:
    """An iteration belongs to where it begins: of three, the one that begins in the first half second is not summed up.

    The timeline has all of them.
    """
    meter = UsageMeter(10, 0.5)
    for start_s in (0.0, 0.5, 1.0):
        meter.add(dataclasses.replace(ITERATION, start_s=start_s, end_s=start_s + 1.0))
    usage = meter.usage()
    assert (usage.num_warmup_iterations, usage.num_iterations, usage.busy_s) == (1, 2, 2.0)
    assert usage.block_s_by_form[CacheForm.KV] == 8.0 and len(usage.timeline) == 3
