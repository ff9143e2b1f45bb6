"""The texts of `--prompt`: UTF-8, whatever the locale is, or one message."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from aptsched.support.errors import InputError

MAX_BYTES = 2**24  # of stdin, which may never end; more than the context of any model here
ACCEPTED = "UTF-8 text is accepted"


def texts(given: Sequence[str]) -> list[str]:
    """The prompts; "-" stands for the text on stdin, which is read once.

    Raises
    ------
    InputError
        A prompt is not UTF-8, or stdin is closed, cannot be read or has more than 16 MiB.
    """
    from engine.models.text import check_unicode

    read = _stdin() if "-" in given else ""
    for text in given:
        check_unicode("prompt", text)
    return [read if text == "-" else text for text in given]


def _stdin() -> str:
    if sys.stdin is None:
        raise InputError(f"prompt: - is not accepted where stdin is closed; {ACCEPTED}")
    try:
        data = sys.stdin.buffer.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise InputError(f"prompt: more than {MAX_BYTES} bytes on stdin are not accepted; fewer are")
        return data.decode()
    except OSError as error:
        raise InputError(f"prompt: stdin cannot be read ({error.strerror}); {ACCEPTED}") from error
    except UnicodeDecodeError as error:
        raise InputError(f"prompt: byte {error.start} of stdin is not UTF-8; {ACCEPTED}") from error
