"""A text's logits with its cache as its forms leave it: whole tensors, one text, one token at a time."""

from __future__ import annotations

import torch

from aptsched.scheduling.forms import CacheForm


class FullAttention:
    """Logits of a text that were computed at once: forms that keep all of K and V, or of what they are made of."""

    def __init__(self, logits: torch.Tensor) -> None:
        self.logits = logits  # [n, vocab]

    def fed(self, start: int, stop: int, form: CacheForm) -> torch.Tensor:
        """Logits after token stop - 1, [vocab]."""
        return self.logits[stop - 1]

    def converted(self, form: CacheForm) -> None:
        """Nothing changes."""
