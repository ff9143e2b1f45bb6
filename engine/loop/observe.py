"""Makes the view that a policy sees from the requests and the pool."""

from __future__ import annotations

from typing import Any

from aptsched.scheduling.iteration_time import IterationTime
from aptsched.scheduling.view import View
from aptsched.support.checks import Ints
from aptsched.support.constant import constant
from aptsched.support.quick_init import of_values
from engine.state.pool import BlockPool
from engine.state.request_table import RequestTable


def observe(
    table: RequestTable, pool: BlockPool, now_s: float, max_tokens: int, max_seqs: int, times: IterationTime
) -> View:
    """The view at this time: read-only copies, which later changes of requests and pool do not affect."""
    slot = table.slot[: table.num_rows]
    nobody_away = pool.host.free_blocks == pool.num_host_blocks  # the usual case, without a look-up
    num_swapped = constant(0, len(slot)) if nobody_away else _read_only(pool.host.num_held[slot])
    values: dict[str, Any] = table.observed()
    values.update(
        num_cached=_read_only(pool.num_cached[slot]),
        form=_read_only(pool.form[slot]),
        num_held=_read_only(pool.device.num_held[slot]),
        num_swapped=num_swapped,
        now_s=now_s,
        free_blocks=pool.free_blocks,
        num_blocks=pool.num_blocks,
        free_host_blocks=pool.host.free_blocks,
        num_host_blocks=pool.num_host_blocks,
        max_tokens=max_tokens,
        max_seqs=max_seqs,
        cache=pool.cache,
        times=times,
    )
    return of_values(View, values)


def _read_only(array: Ints) -> Ints:
    array.setflags(write=False)
    return array
