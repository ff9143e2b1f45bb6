"""The reference for stop strings."""

from __future__ import annotations

from collections.abc import Sequence


def cut(text: str, strings: Sequence[str]) -> tuple[str, str | None]:
    """Reads the text from the left, and cuts it as soon as what is read ends with a stop string; and which one."""
    for end in range(len(text) + 1):
        ended = [string for string in strings if text[:end].endswith(string)]
        if ended:
            found = max(ended, key=len)
            return text[: end - len(found)], found
    return text, None
