"""One draw for each row by the inverse of its distribution function, in two steps and without sorting."""

from __future__ import annotations

import torch
import torch.nn.functional as F

BLOCK = 256  # shares that are added up before a sum is looked for: about the root of a vocabulary


def inverse(shares: torch.Tensor, uniform: torch.Tensor) -> torch.Tensor:
    """The first entry of each row up to which shares add up to more than `uniform` of their total, [b].

    First the block of `BLOCK` entries is found by the sums of blocks, then the entry in it, so that only the sums and
    one block are accumulated. An entry of share 0 is never found while another one is above 0.

    Parameters
    ----------
    shares : tensor, [b, n]
        At least 0; they need not add up to 1.
    uniform : float64 tensor, [b]
        In [0, 1).
    """
    more = -shares.shape[1] % BLOCK
    blocks = (F.pad(shares, (0, more)) if more else shares).view(len(shares), -1, BLOCK)
    sums = blocks.sum(-1)
    until = sums.cumsum(-1, dtype=torch.float64)
    point = uniform[:, None] * until[:, -1:]
    block = _first_above(until, point, sums)
    inner = blocks.take_along_dim(block[:, :, None], 1)[:, 0]
    rest = point - until.gather(1, block) + sums.gather(1, block)
    entry = _first_above(inner.cumsum(-1, dtype=torch.float64), rest, inner)
    return (block * BLOCK + entry)[:, 0]


def _first_above(until: torch.Tensor, point: torch.Tensor, parts: torch.Tensor) -> torch.Tensor:
    """Where sums, [b, n], first exceed a point, [b, 1]; where rounding has none do so, the last part that is not 0."""
    found = torch.searchsorted(until, point, right=True)
    last = until.shape[1] - 1 - (parts > 0).flip(-1).byte().argmax(-1, keepdim=True)
    return torch.minimum(found, last)
