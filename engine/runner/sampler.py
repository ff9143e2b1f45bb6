"""Next tokens from logits: greedy, temperature, top-k, top-p, each request with a seed of its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from aptsched.support.checks import Ints
from aptsched.support.errors import InputError
from engine.models.checkpoint import DTYPES
from engine.runner.sampling.inverse import inverse
from engine.runner.sampling.likeliest import likeliest
from engine.state.request import Request

LEAST_TEMPERATURE = float(np.finfo(np.float32).tiny)  # below it the likeliest token is taken, as in the limit
LARGEST_TEMPERATURE = float(np.finfo(np.float32).max)


def sample(logits: torch.Tensor, requests: Sequence[Request]) -> Ints:
    """The next token of each request, [b], from logits [b, vocab].

    The draw depends on a request's own parameters, its number of tokens, and its logits, but not on the batch.
    A token whose logit is -inf is never drawn.

    Raises
    ------
    InputError
        A row has a logit that is NaN or inf, or none that is finite.
    """
    drawn = [row for row, request in enumerate(requests) if request.params.temperature >= LEAST_TEMPERATURE]
    if len(drawn) == len(requests):
        token_ids, largest = _draw(logits, requests), logits.amax(-1)
    else:
        token_ids = logits.argmax(-1)
        largest = logits.gather(1, token_ids[:, None])[:, 0]
        if drawn:
            rows = torch.tensor(drawn, device=logits.device)
            token_ids[rows] = _draw(logits.index_select(0, rows), [requests[row] for row in drawn])
    found: Ints = token_ids.masked_fill_(~largest.isfinite(), -1).cpu().numpy()
    if found.min() < 0:
        raise _not_finite(found, logits.dtype)
    return found


def _not_finite(token_ids: Ints, dtype: torch.dtype) -> InputError:
    """The message about rows whose largest logit, as which NaN counts, is not finite: those without a token."""
    name = next(name for name, known in DTYPES.items() if known == dtype)
    return InputError(
        f"logits: not finite for {(token_ids < 0).sum()} of {len(token_ids)} requests in {name}; finite weights are "
        f"accepted, and a dtype whose range the activations stay in: {', '.join(DTYPES)}"
    )


def _draw(logits: torch.Tensor, requests: Sequence[Request]) -> torch.Tensor:
    """One draw for each row by the inverse of its distribution function, tokens in the order of their ids."""
    params = [request.params for request in requests]
    scores = logits.to(torch.promote_types(logits.dtype, torch.float32))
    if any(each.temperature != 1 for each in params):
        divisors = [min(each.temperature, LARGEST_TEMPERATURE) for each in params]
        scores = (scores - scores.amax(-1, keepdim=True)) / scores.new_tensor(divisors)[:, None]
    shares = scores.softmax(-1)
    if any(each.top_k or each.top_p < 1 for each in params):
        vocab = logits.shape[1]
        top_k = torch.tensor([min(each.top_k or vocab, vocab) for each in params], device=logits.device)
        top_p = torch.tensor([each.top_p for each in params], dtype=torch.float64, device=logits.device)
        shares *= likeliest(logits, shares, top_k, top_p)
    uniform = [_uniform(request) for request in requests]
    return inverse(shares, torch.tensor(uniform, dtype=torch.float64, device=logits.device))


def _uniform(request: Request) -> float:
    """A random number in [0, 1) for the request's next token, the same in any batch and at any time."""
    position = len(request.output_token_ids)
    return float(np.random.Generator(np.random.Philox(key=request.params.seed, counter=position)).random())
