"""Next tokens from logits: greedy, temperature, top-k, top-p, each request with a seed of its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from aptsched.checks import Ints
from engine.request import Request


def sample(logits: torch.Tensor, requests: Sequence[Request]) -> Ints:
    """The next token of each request, [b], from logits [b, vocab].

    What is drawn depends on a request's own seed, on how many tokens it has, and on its logits, not on the batch.
    """
    token_ids = logits.argmax(dim=-1)
    drawn = [row for row, request in enumerate(requests) if request.params.temperature > 0]
    if drawn:
        rows = torch.tensor(drawn, device=logits.device)
        token_ids[rows] = _draw(logits.index_select(0, rows), [requests[row] for row in drawn])
    found: Ints = token_ids.cpu().numpy()
    return found


def _draw(logits: torch.Tensor, requests: Sequence[Request]) -> torch.Tensor:
    """One draw for each row by the inverse of its distribution function, likeliest tokens first."""

    def column(values: Sequence[float]) -> torch.Tensor:
        return torch.tensor(values, dtype=torch.float64, device=logits.device)[:, None]

    vocab = logits.shape[1]
    top_k = [request.params.top_k or vocab for request in requests]
    ranked, order = (logits.double() / column([r.params.temperature for r in requests])).topk(min(max(top_k), vocab))
    share = ranked.softmax(dim=-1)
    share[torch.arange(share.shape[1], device=share.device) >= column(top_k)] = 0
    share /= share.sum(dim=-1, keepdim=True)
    before = share.cumsum(dim=-1) - share
    share[before >= column([request.params.top_p for request in requests])] = 0
    total = share.cumsum(dim=-1)
    point = column([_uniform(request) for request in requests]) * total[:, -1:]
    rank = torch.searchsorted(total, point, right=True).clamp_max((share > 0).sum(dim=-1, keepdim=True) - 1)
    return order.gather(1, rank)[:, 0]


def _uniform(request: Request) -> float:
    """A number in [0, 1) for the request's next token, the same whenever and in whatever batch it is drawn."""
    position = len(request.output_token_ids)
    return float(np.random.Generator(np.random.Philox(key=request.params.seed, counter=position)).random())
