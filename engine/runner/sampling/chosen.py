"""Tokens that were chosen on a device, once they are there."""

from __future__ import annotations

import torch

from aptsched.support.checks import Ints
from aptsched.support.errors import InputError
from engine.models.checkpoint import DTYPES


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
