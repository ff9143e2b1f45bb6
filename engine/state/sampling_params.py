"""How the next token is chosen, and when a request ends."""

from __future__ import annotations

import math
import operator
import sys
from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from typing import Any

import numpy as np

from aptsched.support.checks import MAX_COUNT, as_float, is_count
from aptsched.support.errors import InputError
from aptsched.support.shown import shown

MAX_STOPS, MAX_STOP_CHARS = 16, 256  # most stop strings of a request, and most characters of each
MAX_LOGPROBS = 20  # of the likeliest tokens, at each token


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
    num_logprobs : int or None
        How likely each token was is kept, and of so many of the likeliest, up to 20; None keeps nothing.
    """

    max_tokens: int = 16
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int = 0
    stop_token_ids: tuple[int, ...] = ()
    ignore_eos: bool = False
    stop: Sequence[str] = ()
    num_logprobs: int | None = None

    def __post_init__(self) -> None:
        kept = {
            "max_tokens": _whole("max_tokens", self.max_tokens, 1, MAX_COUNT, "a whole number from 1 to 2**32"),
            "top_k": _whole("top_k", self.top_k, 0, math.inf, "0 (all) or a larger whole number"),
            "seed": _whole("seed", self.seed, 0, 2**63 - 1, "a whole number from 0 to 2**63 - 1"),
            "temperature": _number("temperature", self.temperature, 0.0, sys.float_info.max, "a number of at least 0"),
            "top_p": _number("top_p", self.top_p, math.ulp(0.0), 1.0, "a share above 0 and up to 1"),
            "stop_token_ids": _token_ids(self.stop_token_ids),
            "stop": _stop_strings(self.stop),
        }
        if self.num_logprobs is not None:
            accepted = f"None or a whole number from 0 to {MAX_LOGPROBS}"
            kept["num_logprobs"] = _whole("num_logprobs", self.num_logprobs, 0, MAX_LOGPROBS, accepted)
        if not isinstance(self.ignore_eos, (bool, np.bool_)):
            raise InputError(f"ignore_eos: {shown(self.ignore_eos)} is not accepted; True or False is")
        for name, value in kept.items():
            object.__setattr__(self, name, value)


def _whole(name: str, given: int, least: int, most: float, accepted: str) -> int:
    if not is_count(given, least, most):
        raise InputError(f"{name}: {shown(given)} is not accepted; {accepted} is")
    return operator.index(given)


def _number(name: str, given: float, least: float, most: float, accepted: str) -> float:
    if not least <= (value := as_float(given)) <= most:
        raise InputError(f"{name}: {shown(given)} is not accepted; {accepted} is")
    return value


def _token_ids(given: object) -> tuple[int, ...]:
    """Token ids as a tuple; what is no list of whole numbers would end the iteration of all, not the request alone."""
    several = isinstance(given, (Sequence, Set, np.ndarray)) and getattr(given, "ndim", 1) == 1
    each: tuple[Any, ...] = tuple(given) if several else (given,)  # type: ignore[arg-type]
    if not all(is_count(token_id, 0, math.inf) for token_id in each):
        raise InputError(f"stop_token_ids: {shown(given)} is not accepted; token ids in a tuple are")
    return tuple(map(operator.index, each))


def _stop_strings(stop: object) -> tuple[str, ...]:
    if isinstance(stop, str):
        stop = (stop,)
    if not isinstance(stop, Iterable) or getattr(stop, "ndim", 1) != 1:
        raise InputError(f"stop: {shown(stop)} is not accepted; a text or several are")
    given = tuple(stop)
    if len(given) > MAX_STOPS:
        raise InputError(f"stop: {len(given)} texts are not accepted; up to {MAX_STOPS} are")
    for text in given:
        if not isinstance(text, str) or not 1 <= len(text) <= MAX_STOP_CHARS:
            raise InputError(f"stop: {shown(text)} is not accepted; a text of 1 to {MAX_STOP_CHARS} characters is")
    return given
