"""Makes the view that a policy sees from the requests and the pool."""

from __future__ import annotations

from typing import Any

from aptsched.scheduling.iteration_time import IterationTime
from aptsched.scheduling.view import View, unread_view
from engine.state.pool import BlockPool
from engine.state.request_table import SEEN, RequestTable

OFTEN_READ = ("num_tokens", "num_cached", "form", "num_held")  # by nearly every policy, in each decision


def observe(
    table: RequestTable,
    pool: BlockPool,
    now_s: float,
    max_tokens: int,
    max_seqs: int,
    times: IterationTime,
    num_freed: int = 0,
) -> View:
    """The view at this time, with so many blocks more free: read-only copies of columns, each made where it is read.

    Before requests or pool change, `all_read` has to be called on a view that somebody keeps.
    """
    num_rows = table.num_rows

    def column(name: str) -> Any:
        copy = getattr(table, name)[:num_rows].copy() if name in SEEN else pool.column(name, table.slot[:num_rows])
        copy.setflags(write=False)
        return copy

    values: dict[str, Any] = {name: column(name) for name in OFTEN_READ}
    values |= {
        "now_s": now_s,
        "free_blocks": pool.free_blocks + num_freed,
        "num_blocks": pool.num_blocks,
        "free_host_blocks": pool.host.free_blocks,
        "num_host_blocks": pool.num_host_blocks,
        "max_tokens": max_tokens,
        "max_seqs": max_seqs,
        "cache": pool.cache,
        "times": times,
    }
    return unread_view(column, values)
