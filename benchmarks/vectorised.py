"""Algorithm 1 of Apt-Serve in numpy: the same steps as `benchmarks.plain`, all requests at once."""

from __future__ import annotations

import numpy as np

from aptsched.support.checks import Floats, Ints


def algorithm1(pending_s: Floats, blocks: Ints, capacity: int, penalty_s_per_block: float) -> Ints:
    """The form of each request, [n] (0 = not served, 1 = KV, 2 = hidden), without a certificate.

    All upgrades from hidden to KV gain the same for a block. So they come after all hidden forms, which gain at least
    as much, and before the increments straight to KV, which gain less: only one increment of each request is sorted.
    """
    upgrade = 2 * penalty_s_per_block
    hidden = 2 * pending_s / blocks - upgrade
    at_once = upgrade > hidden
    order = np.argsort(-np.where(at_once, pending_s / blocks, hidden), kind="stable")
    upgraded = np.flatnonzero(~at_once)
    num_hidden, num_upgrades = len(upgraded), 2 * len(upgraded)
    request = np.concatenate([order[:num_hidden], upgraded, order[num_hidden:]])
    half_blocks = blocks[request]
    half_blocks[num_upgrades:] *= 2
    taken = int(np.searchsorted(half_blocks.cumsum(), 2 * capacity, side="right"))
    form = np.zeros(len(blocks), np.int64)
    form[request[: min(taken, num_hidden)]] = 2
    form[request[num_hidden:taken]] = 1
    if taken < len(request):
        first, served = request[taken], form > 0
        taken_s = pending_s[served].sum() - penalty_s_per_block * blocks[form == 2].sum()
        if pending_s[first] > taken_s:
            form[:] = 0
            form[first] = 1
    return form
