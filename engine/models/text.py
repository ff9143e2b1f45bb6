"""Text that can be made into tokens."""

from __future__ import annotations

from aptsched.support.errors import InputError


def check_unicode(field: str, text: str) -> None:
    """See that a text can be written as UTF-8.

    Raises
    ------
    InputError
        It has half of a surrogate pair, as texts get that were decoded from bytes which are not UTF-8: where.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        half = text[error.start]
        raise InputError(
            f"{field}: character {error.start}, {half!r}, is not Unicode text, as of bytes that are not UTF-8; "
            "UTF-8 text is accepted"
        ) from error
