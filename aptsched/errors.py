"""What a user can get wrong, apart from what only we can."""

from __future__ import annotations


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
            f"{num_blocks} blocks, {num_tokens} tokens and {num_seqs} sequences"
        )


def described(error: BaseException, most: int = 300) -> str:
    """Type and message of what was raised, as one line of so many characters at most."""
    try:
        text = " ".join(f"{type(error).__name__}: {error}".split())
    except Exception:  # its message cannot be made
        text = type(error).__name__
    return text if len(text) <= most else f"{text[: most - 3]}..."
