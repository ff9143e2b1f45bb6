"""Lines of text: how wide they may be, and how longer ones are broken."""

from __future__ import annotations

import os
import textwrap
from typing import TextIO

from aptsched.support.shown import escaped

WIDTH = 80
CLEAR = "\r\x1b[K"  # of a terminal: back to the first column, and nothing behind it


def columns(file: TextIO, least: int = WIDTH) -> int:
    """The columns of a line: those of the terminal `file`, but at least `least`; 80 where it is no terminal.

    A terminal that does not know how wide it is has 80 too.
    """
    try:
        known = os.get_terminal_size(file.fileno()).columns if file.isatty() else 0
    except (OSError, ValueError):
        known = 0
    return max(least, known or WIDTH)


def wrapped(text: str, width: int = WIDTH, indent: str = "") -> list[str]:
    """The text as lines of at most that width, all but the first indented; a word breaks only where it has to.

    What a terminal would obey is escaped.
    """
    return textwrap.wrap(plain(text), width, subsequent_indent=indent, break_on_hyphens=False) or [""]


def plain(text: str) -> str:
    """The text on one line, with nothing in it that a terminal obeys: white space is spaces, the rest is escaped."""
    return escaped("".join(" " if char.isspace() else char for char in text))


def filled(text: str, file: TextIO) -> str:
    """The text for a file, broken at its width; lines that it has stay lines."""
    return "\n".join(line for part in text.split("\n") for line in wrapped(part, columns(file), _indent(part)))


def _indent(line: str) -> str:
    """The indent of a line's continuation lines: two columns more than its own."""
    return " " * (len(line) - len(line.lstrip()) + 2)
