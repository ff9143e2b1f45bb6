"""Errors that a user can cause: bad input, and required requests that do not fit."""

from __future__ import annotations

from aptsched.support.plural import how_many

MOST_SHOWN = 500  # characters of what an error says


class InputError(ValueError):
    """Bad input: the message names the field, its value and what is accepted. The commands exit with code 2."""


class InfeasibleError(ValueError):
    """The required requests do not fit.

    Attributes
    ----------
    num_blocks, num_tokens, num_seqs : int
        The smallest overload: by how much the required requests, each in its lightest form, exceed the capacity,
        the token budget and the sequence limit (0 where they fit).
    """

    def __init__(self, num_blocks: int, num_tokens: int, num_seqs: int) -> None:
        self.num_blocks, self.num_tokens, self.num_seqs = num_blocks, num_tokens, num_seqs
        super().__init__(
            "required: the requests that must be served do not fit, by "
            f"{how_many(num_blocks, 'block')}, {how_many(num_tokens, 'token')} and {how_many(num_seqs, 'sequence')}"
        )


def words_of(error: BaseException) -> str:
    """The message of an error, cut where it is long; a phrase in its place where the error's class fails to give it."""
    try:
        text = str(error)
    except Exception:
        return "it cannot say why"
    return text if len(text) <= MOST_SHOWN else f"{text[: MOST_SHOWN - 3]}..."


def described(error: BaseException) -> str:
    """The class of an error and its message, on one line."""
    return " ".join(f"{type(error).__name__}: {words_of(error)}".split()).removesuffix(":")
