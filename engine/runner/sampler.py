"""Next tokens from logits: greedy, temperature, top-k, top-p, each request with a seed of its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from aptsched.support.checks import Ints
from aptsched.support.errors import InputError
from engine.models.checkpoint import DTYPES
from engine.state.request import Request

LEAST_TEMPERATURE = float(np.finfo(np.float64).tiny)  # smaller ones may be flushed to 0, which cannot divide


def sample(logits: torch.Tensor, requests: Sequence[Request]) -> Ints:
    """The next token of each request, [b], from logits [b, vocab].

    The draw depends on a request's own parameters, its number of tokens, and its logits, but not on the batch.
    A token whose logit is -inf is never drawn.

    Raises
    ------
    InputError
        A row has a logit that is NaN or inf, or none that is finite.
    """
    token_ids = logits.argmax(dim=-1)
    _check_finite(logits, token_ids)
    vocab = logits.shape[1]
    rows_of: dict[int, list[int]] = {}  # by top_k, for the order of equal logits must not depend on the top_k of others
    for row, request in enumerate(requests):
        if request.params.temperature > 0:
            rows_of.setdefault(min(request.params.top_k or vocab, vocab), []).append(row)
    for top_k, drawn in rows_of.items():
        rows = torch.tensor(drawn, device=logits.device)
        token_ids[rows] = _draw(logits.index_select(0, rows), [requests[row] for row in drawn], top_k)
    found: Ints = token_ids.cpu().numpy()
    return found


def _check_finite(logits: torch.Tensor, largest: torch.Tensor) -> None:
    """Raise InputError unless the largest logit of each row is finite; NaN counts as the largest."""
    finite = logits.gather(1, largest[:, None]).isfinite()
    if finite.all():
        return
    dtype = next(name for name, dtype in DTYPES.items() if dtype == logits.dtype)
    raise InputError(
        f"logits: not finite for {int((~finite).sum())} of {len(logits)} requests in {dtype}; finite weights are "
        f"accepted, and a dtype whose range the activations stay in: {', '.join(DTYPES)}"
    )


def _draw(logits: torch.Tensor, requests: Sequence[Request], top_k: int) -> torch.Tensor:
    """One draw for each row by the inverse of its distribution function, likeliest tokens first."""

    def column(values: Sequence[float]) -> torch.Tensor:
        return torch.tensor(values, dtype=torch.float64, device=logits.device)[:, None]

    ranked, order = logits.double().topk(top_k)
    temperatures = column([max(request.params.temperature, LEAST_TEMPERATURE) for request in requests])
    share = ((ranked - ranked[:, :1]) / temperatures).softmax(dim=-1)  # the largest is 0: nothing overflows
    before = share.cumsum(dim=-1) - share
    beyond = before >= column([request.params.top_p for request in requests])
    beyond[:, 0] = False
    share[beyond] = 0
    total = share.cumsum(dim=-1)
    point = column([_uniform(request) for request in requests]) * total[:, -1:]
    rank = torch.searchsorted(total, point, right=True).clamp_max((share > 0).sum(dim=-1, keepdim=True) - 1)
    return order.gather(1, rank)[:, 0]


def _uniform(request: Request) -> float:
    """A random number in [0, 1) for the request's next token, the same in any batch and at any time."""
    position = len(request.output_token_ids)
    return float(np.random.Generator(np.random.Philox(key=request.params.seed, counter=position)).random())
