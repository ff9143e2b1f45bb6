"""Which tokens top_k and top_p leave, without sorting a vocabulary and, on a device, without waiting for it."""

from __future__ import annotations

import torch

from engine.runner.sampling.threshold import by_threshold

FIRST = 64  # largest logits that are looked at first on a CPU


def likeliest(logits: torch.Tensor, shares: torch.Tensor, top_k: torch.Tensor, top_p: torch.Tensor) -> torch.Tensor:
    """Which entries of each row may be drawn, bool [b, n]: the likeliest, as many as both limits leave.

    An entry is left if fewer than top_k are likelier, and if those that are likelier have less than top_p of all
    shares; of equal logits, those with the smaller number come first. The first one is always left.

    On a CPU the largest logits are looked at first, which nearly always hold top_p; else, and on other devices, which
    would have to be waited for to know that, a threshold is searched.

    Parameters
    ----------
    logits, shares : tensor, [b, n]
        Shares add up to about 1 and are in the order of the logits.
    top_k : int64 tensor, [b]
    top_p : float64 tensor, [b]
    """
    if logits.device.type == "cpu":
        ranked, order = logits.topk(min(FIRST, logits.shape[1]))
        each = shares.gather(1, order)
        until = each.cumsum(-1, dtype=torch.float64)
        if bool(((until[:, -1] >= top_p) | (top_k <= ranked.shape[1])).all()) or ranked.shape == logits.shape:
            return _of_ranked(logits, ranked, until - each, top_k, top_p)
    return by_threshold(logits, shares, top_k, top_p)


def _of_ranked(
    logits: torch.Tensor, ranked: torch.Tensor, before: torch.Tensor, top_k: torch.Tensor, top_p: torch.Tensor
) -> torch.Tensor:
    """The same by the largest logits in order, [b, r], and the shares of all before each, enough of them."""
    within = (before < top_p[:, None]) & (torch.arange(ranked.shape[1]) < top_k[:, None])
    num_left = within.sum(-1, keepdim=True).clamp_min(1)
    least = ranked.gather(1, num_left - 1)
    above, equal = logits > least, logits == least
    return above | equal & (equal.cumsum(-1, dtype=torch.int32) <= num_left - above.sum(-1, keepdim=True))
