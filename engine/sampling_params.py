"""How the next token is chosen, and when a request ends."""

from __future__ import annotations

import math
from dataclasses import dataclass

from aptsched.errors import InputError


@dataclass(frozen=True)
class SamplingParams:
    """Sampling of one request.

    Parameters
    ----------
    max_tokens : int
        Most output tokens.
    temperature : float
        0 is greedy: the token of the largest logit, the first of several.
    top_p : float
        Only the most likely tokens that make up this share of the probability are drawn from; 1 is all.
    top_k : int
        Only so many of the most likely tokens are drawn from; 0 is all.
    seed : int
        Of the request's own generator, so that its tokens do not depend on what else is in the batch.
    stop_token_ids : tuple of int
        Tokens that end the request; the stop token is the last one of the output.
    ignore_eos : bool
        Go on after the model's end-of-text token, up to max_tokens.
    """

    max_tokens: int = 16
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int = 0
    stop_token_ids: tuple[int, ...] = ()
    ignore_eos: bool = False

    def __post_init__(self) -> None:
        if self.max_tokens < 1:
            raise InputError(f"max_tokens: {self.max_tokens} is not accepted; at least 1 is")
        if not (math.isfinite(self.temperature) and self.temperature >= 0):
            raise InputError(f"temperature: {self.temperature} is not accepted; a number of at least 0 is")
        if not 0 < self.top_p <= 1:
            raise InputError(f"top_p: {self.top_p} is not accepted; a share above 0 and up to 1 is")
        if self.top_k < 0:
            raise InputError(f"top_k: {self.top_k} is not accepted; 0 (all) or more is")
        if not 0 <= self.seed < 2**63:
            raise InputError(f"seed: {self.seed} is not accepted; 0 to 2**63 - 1 is")
