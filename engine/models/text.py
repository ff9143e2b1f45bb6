"""Checks text that is to be made into tokens."""

from __future__ import annotations

from aptsched.support.errors import InputError


def check_unicode(field: str, text: str) -> None:
    """Check that a text can be written as UTF-8.

    Raises
    ------
    InputError
        It has half of a surrogate pair, which comes from decoding bytes that are not UTF-8; the message says where.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        half = text[error.start]
        raise InputError(
            f"{field}: character {error.start}, {half!r}, is not Unicode text, as of bytes that are not UTF-8; "
            "UTF-8 text is accepted"
        ) from error
