"""How attention reads hidden states: absorbed into queries and outcome, or with K and V rebuilt from them."""

from __future__ import annotations

from aptsched.support.errors import InputError
from aptsched.support.shown import shown

ABSORBED, REBUILT = HIDDEN_ATTENTION = ("absorbed", "rebuilt")


def check_hidden_attention(given: str) -> None:
    """Raise InputError unless it is one of the two."""
    if given not in HIDDEN_ATTENTION:
        raise InputError(f"hidden_attention: {shown(given)} is not accepted; {' and '.join(HIDDEN_ATTENTION)} are")


def absorb_limit(hidden_attention: str, up_to: int | None = None) -> int | None:
    """Up to how many new tokens it is absorbed: `up_to` where that is known, None as the shape says, 0 if rebuilt.

    Raises
    ------
    InputError
        hidden_attention is neither of the two.
    """
    check_hidden_attention(hidden_attention)
    return 0 if hidden_attention == REBUILT else up_to
