"""What a policy sees of the requests and the pool."""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from aptsched.checks import Bools, Floats, Ints
from aptsched.iteration_time import IterationTime
from aptsched.view import View
from engine.pool import BlockPool
from engine.table import RequestTable

Array = TypeVar("Array", Ints, Floats, Bools)


def observe(
    table: RequestTable, pool: BlockPool, now_s: float, max_tokens: int, max_seqs: int, times: IterationTime
) -> View:
    """The view of now: read-only copies, which stay as they are when requests and pool change."""
    n = table.num_rows
    slot = table.slot[:n]
    nobody_away = pool.host.free_blocks == pool.num_host_blocks  # spares the look-up in most runs
    return View(
        now_s=now_s,
        request_id=_read_only(table.request_id[:n].copy()),
        arrived_at_s=_read_only(table.arrived_at_s[:n].copy()),
        last_token_at_s=_read_only(table.last_token_at_s[:n].copy()),
        slo_ttft_s=_read_only(table.slo_ttft_s[:n].copy()),
        slo_tbt_s=_read_only(table.slo_tbt_s[:n].copy()),
        missed_slo=_read_only(table.missed_slo[:n].copy()),
        num_prompt_tokens=_read_only(table.num_prompt_tokens[:n].copy()),
        num_tokens=_read_only(table.num_tokens[:n].copy()),
        num_cached=_read_only(pool.num_cached.take(slot)),
        form=_read_only(pool.form.take(slot)),
        num_held=_read_only(pool.device.num_held.take(slot)),
        num_swapped=_read_only(np.zeros(n, np.int64) if nobody_away else pool.host.num_held.take(slot)),
        free_blocks=pool.free_blocks,
        num_blocks=pool.num_blocks,
        free_host_blocks=pool.host.free_blocks,
        num_host_blocks=pool.num_host_blocks,
        max_tokens=max_tokens,
        max_seqs=max_seqs,
        cache=pool.cache,
        times=times,
    )


def _read_only(array: Array) -> Array:
    array.flags.writeable = False
    return array
