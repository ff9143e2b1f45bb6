"""Next tokens from logits: greedy, temperature, top-k, top-p, each request with a seed of its own."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from aptsched.support.checks import Ints
from aptsched.support.errors import InputError
from engine.models.checkpoint import DTYPES
from engine.runner.device.launches import launches_for
from engine.runner.device.upload import Upload
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


def read_tokens(token_ids: torch.Tensor, dtype: torch.dtype) -> Ints:
    """The tokens that were chosen, once they are there; InputError where logits, in this dtype, were not finite."""
    found: Ints = token_ids.cpu().numpy()
    if found.min() < 0:
        raise _not_finite(found, dtype)
    return found


def _not_finite(token_ids: Ints, dtype: torch.dtype) -> InputError:
    """The message about rows whose largest logit, as which NaN counts, is not finite: those without a token."""
    name = next(name for name, known in DTYPES.items() if known == dtype)
    return InputError(
        f"logits: not finite for {(token_ids < 0).sum()} of {len(token_ids)} requests in {name}; finite weights are "
        f"accepted, and a dtype whose range the activations stay in: {', '.join(DTYPES)}"
    )
