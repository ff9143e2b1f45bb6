"""Which requests draw their next token, with which parameters, as numbers on the device; and the draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from engine.runner.device.upload import Put
from engine.runner.sampling.inverse import inverse
from engine.runner.sampling.likeliest import likeliest
from engine.state.request import Request

LEAST_TEMPERATURE = float(np.finfo(np.float32).tiny)  # below it the likeliest token is taken, as in the limit
LARGEST_TEMPERATURE = float(np.finfo(np.float32).max)


@dataclass(frozen=True, eq=False)
class Truncation:
    """How many of the likeliest tokens are left, of each request that draws.

    Attributes
    ----------
    top_k : int64 tensor, [n]
    top_p : float64 tensor, [n]
    """

    top_k: torch.Tensor
    top_p: torch.Tensor


@dataclass(frozen=True, eq=False)
class Draws:
    """The requests that draw, of those that get a token; the others take the likeliest.

    Attributes
    ----------
    rows : int64 tensor, [n], or None
        Which they are; None where all of them are.
    uniform : float64 tensor, [n]
        A random number in [0, 1) of each.
    temperature : float32 tensor, [n, 1], or None
        None where all are 1.
    truncation : Truncation or None
        None where all tokens may be drawn.
    """

    rows: torch.Tensor | None
    uniform: torch.Tensor
    temperature: torch.Tensor | None
    truncation: Truncation | None

    def of(self, logits: torch.Tensor) -> torch.Tensor:
        """One draw for each row, by the inverse of its distribution function, tokens in the order of their ids."""
        scores = logits.to(torch.promote_types(logits.dtype, torch.float32))
        if self.temperature is not None:
            scores = (scores - scores.amax(-1, keepdim=True)) / self.temperature
        shares = scores.softmax(-1)
        if self.truncation is not None:
            shares *= likeliest(logits, shares, self.truncation.top_k, self.truncation.top_p)
        return inverse(shares, self.uniform)


def draws_of(requests: Sequence[Request], vocab_size: int, put: Put) -> Draws | None:
    """The draws of requests that get a token; None where none of them draws."""
    rows = [row for row, request in enumerate(requests) if request.params.temperature >= LEAST_TEMPERATURE]
    if not rows:
        return None
    drawn = [requests[row] for row in rows]
    params, truncation = [request.params for request in drawn], None
    if any(each.top_k or each.top_p < 1 for each in params):
        top_k = np.array([min(each.top_k or vocab_size, vocab_size) for each in params], np.int64)
        truncation = Truncation(put(top_k), put(np.array([each.top_p for each in params])))
    temperature = np.array([[min(each.temperature, LARGEST_TEMPERATURE)] for each in params], np.float32)
    return Draws(
        rows=None if len(rows) == len(requests) else put(np.array(rows, np.int64)),
        uniform=put(np.array([_uniform(request) for request in drawn])),
        temperature=None if (temperature == 1).all() else put(temperature),
        truncation=truncation,
    )


def _uniform(request: Request) -> float:
    """A random number in [0, 1) for the request's next token, the same in any batch and at any time."""
    position = len(request.output_token_ids)
    return float(np.random.Generator(np.random.Philox(key=request.params.seed, counter=position)).random())
