"""Formats values and words for messages: on one line, cut where long, with control characters escaped."""

from __future__ import annotations

MOST_CHARS = 60  # of a value
WORD_CHARS = 500  # of a word of a message, such as a path
LINE_CHARS = 2000


def shown(value: object, most: int = MOST_CHARS) -> str:
    """A value as Python writes it, its first characters only."""
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # nested too deeply; a whole number of more digits than Python writes
        text = f"a {type(value).__name__} that is too large to show"
    return text if len(text) <= most else f"{text[: most - 3]}..."


def one_line(text: str) -> str:
    """A message on one line: control characters and lone surrogates escaped, long words cut in their middle."""
    line = " ".join(map(_cut, escaped(text).split()))
    return line if len(line) <= LINE_CHARS else f"{line[: LINE_CHARS - 3]}..."


def escaped(text: str) -> str:
    """A text whose control characters and lone surrogates are written as Python writes them; spaces stay."""
    return "".join(
        char if char.isprintable() or char.isspace() else char.encode("unicode_escape").decode() for char in text
    )


def _cut(word: str) -> str:
    return word if len(word) <= WORD_CHARS else f"{word[:MOST_CHARS]}...{word[-MOST_CHARS:]}"
