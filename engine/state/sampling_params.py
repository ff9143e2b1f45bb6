"""How the next token is chosen, and when a request ends."""

from __future__ import annotations

import math
import operator
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from aptsched.support.checks import MAX_COUNT
from aptsched.support.errors import InputError
from aptsched.support.shown import shown

MAX_STOPS, MAX_STOP_CHARS = 16, 256  # most stop strings of a request, and most characters of each


@dataclass(frozen=True)
class SamplingParams:
    """Sampling of one request.

    Parameters
    ----------
    max_tokens : int
        Most output tokens.
    temperature : float
        0 is greedy: the token with the largest logit, the first if there are several.
    top_p : float
        Only the most likely tokens that make up this share of the probability are drawn from; 1 is all.
    top_k : int
        Only so many of the most likely tokens are drawn from; 0 is all.
    seed : int
        Seed of the request's own generator, so that its tokens do not depend on what else is in the batch.
    stop_token_ids : tuple of int
        Tokens that end the request; the stop token is the last one of the output.
    ignore_eos : bool
        Go on after the model's end-of-text token, up to max_tokens.
    stop : str or sequence of str
        Texts that end the request, up to 16 of up to 256 characters each: the output is cut before the first of them.
        Kept as a tuple.
    """

    max_tokens: int = 16
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int = 0
    stop_token_ids: tuple[int, ...] = ()
    ignore_eos: bool = False
    stop: Sequence[str] = ()

    def __post_init__(self) -> None:
        _check("max_tokens", self.max_tokens, 1, MAX_COUNT, "a whole number from 1 to 2**32")
        _check("top_k", self.top_k, 0, math.inf, "0 (all) or a larger whole number")
        _check("seed", self.seed, 0, 2**63 - 1, "a whole number from 0 to 2**63 - 1")
        if not 0 <= self.temperature <= sys.float_info.max:
            raise InputError(f"temperature: {shown(self.temperature)} is not accepted; a number of at least 0 is")
        if not 0 < self.top_p <= 1:
            raise InputError(f"top_p: {shown(self.top_p)} is not accepted; a share above 0 and up to 1 is")
        object.__setattr__(self, "stop", _stop_strings(self.stop))


def _check(name: str, value: int, least: int, most: float, accepted: str) -> None:
    try:
        good = least <= operator.index(value) <= most
    except TypeError:
        good = False
    if not good:
        raise InputError(f"{name}: {shown(value)} is not accepted; {accepted} is")


def _stop_strings(stop: object) -> tuple[str, ...]:
    given = (stop,) if isinstance(stop, str) else tuple(stop) if isinstance(stop, Iterable) else None
    if given is None:
        raise InputError(f"stop: {shown(stop)} is not accepted; a text or several are")
    if len(given) > MAX_STOPS:
        raise InputError(f"stop: {len(given)} texts are not accepted; up to {MAX_STOPS} are")
    for text in given:
        if not isinstance(text, str) or not 1 <= len(text) <= MAX_STOP_CHARS:
            raise InputError(f"stop: {shown(text)} is not accepted; a text of 1 to {MAX_STOP_CHARS} characters is")
    return given
