"""What a policy sees of the requests and the pool."""

from __future__ import annotations

from aptsched.scheduling.iteration_time import IterationTime
from aptsched.scheduling.view import View
from aptsched.support.checks import Ints
from aptsched.support.constant import constant
from engine.state.pool import BlockPool
from engine.state.request_table import RequestTable


def observe(
    table: RequestTable, pool: BlockPool, now_s: float, max_tokens: int, max_seqs: int, times: IterationTime
) -> View:
    """The view of now: read-only copies, which stay as they are when requests and pool change."""
    missed_slo, (arrived_at_s, pending_since_s, slo_ttft_s, slo_tbt_s, objective_s), ints = table.observed()
    request_id, num_prompt_tokens, num_tokens = ints
    n = table.num_rows
    slot = table.slot[:n]
    nobody_away = pool.host.free_blocks == pool.num_host_blocks  # spares the look-up in most runs
    return View(
        now_s=now_s,
        request_id=request_id,
        arrived_at_s=arrived_at_s,
        pending_since_s=pending_since_s,
        slo_ttft_s=slo_ttft_s,
        slo_tbt_s=slo_tbt_s,
        objective_s=objective_s,
        missed_slo=missed_slo,
        num_prompt_tokens=num_prompt_tokens,
        num_tokens=num_tokens,
        num_cached=_read_only(pool.num_cached.take(slot)),
        form=_read_only(pool.form.take(slot)),
        num_held=_read_only(pool.device.num_held.take(slot)),
        num_swapped=_read_only(constant(0, n) if nobody_away else pool.host.num_held.take(slot)),
        free_blocks=pool.free_blocks,
        num_blocks=pool.num_blocks,
        free_host_blocks=pool.host.free_blocks,
        num_host_blocks=pool.num_host_blocks,
        max_tokens=max_tokens,
        max_seqs=max_seqs,
        cache=pool.cache,
        times=times,
    )


def _read_only(array: Ints) -> Ints:
    array.setflags(write=False)
    return array
