"""Next tokens from logits: greedy, temperature, top-k, top-p, each request with a seed of its own."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from aptsched.support.checks import Ints
from engine.runner.device.launches import launches_for
from engine.runner.device.upload import Upload
from engine.runner.sampling.chosen import read_tokens
from engine.runner.sampling.draws import Draws, draws_of
from engine.state.request import Request


def sample(logits: torch.Tensor, requests: Sequence[Request]) -> Ints:
    """The next token of each request, [b], from logits [b, vocab].

    The draw depends on a request's own parameters, its number of tokens, and its logits, but not on the batch.
    A token whose logit is -inf is never drawn.

    Raises
    ------
    InputError
        A row has a logit that is NaN or inf, or none that is finite.
    """
    upload = Upload(logits.device, launches_for(logits.device))
    draws = draws_of(requests, logits.shape[1], upload.put)
    upload.send()
    return read_tokens(next_tokens(logits, draws), logits.dtype)


def next_tokens(logits: torch.Tensor, draws: Draws | None) -> torch.Tensor:
    """The same on the device, which is not waited for; -1 in rows whose logits are not finite."""
    if draws is not None and draws.rows is None:
        token_ids, largest = draws.of(logits), logits.amax(-1)
    else:
        largest, token_ids = logits.max(-1)  # in bf16 on a CPU argmax alone takes six times as long
        if draws is not None:
            assert draws.rows is not None
            token_ids.index_copy_(0, draws.rows, draws.of(logits.index_select(0, draws.rows)))
    return token_ids.masked_fill_(~largest.isfinite(), -1)  # NaN counts as the largest
