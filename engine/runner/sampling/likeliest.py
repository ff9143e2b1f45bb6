"""Which tokens top_k and top_p leave, found from as few of the largest logits as that takes."""

from __future__ import annotations

import torch

FIRST = 64  # largest logits that are looked at first
GROWTH = 8  # times as many are, as long as those seen hold less than top_p


def likeliest(logits: torch.Tensor, shares: torch.Tensor, top_k: torch.Tensor, top_p: torch.Tensor) -> torch.Tensor:
    """Which entries of each row may be drawn, bool [b, n]: the likeliest, as many as both limits leave.

    An entry is left if fewer than top_k are likelier, and if those that are likelier have less than top_p of all
    shares; of equal logits, those with the smaller number come first. The first one is always left.

    Parameters
    ----------
    logits, shares : tensor, [b, n]
        Shares add up to about 1 and are in the order of the logits.
    top_k : int64 tensor, [b]
    top_p : float64 tensor, [b]
    """
    count = min(FIRST, logits.shape[1])
    while True:
        ranked, order = logits.topk(count)
        until = shares.gather(1, order).cumsum(-1, dtype=torch.float64)
        if count == logits.shape[1] or bool(((until[:, -1] >= top_p) | (top_k <= count)).all()):
            break
        count = min(GROWTH * count, logits.shape[1])
    before = until - shares.gather(1, order)
    within = (before < top_p[:, None]) & (torch.arange(count, device=logits.device) < top_k[:, None])
    num_left = within.sum(-1, keepdim=True).clamp_min(1)
    least = ranked.gather(1, num_left - 1)
    above, equal = logits > least, logits == least
    return above | equal & (equal.cumsum(-1, dtype=torch.int32) <= num_left - above.sum(-1, keepdim=True))
