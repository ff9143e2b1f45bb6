"""Notices: a line for each thing in the input that was not used, dropped, repeated, changed or assumed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TextIO


def merged(*groups: Iterable[str]) -> tuple[str, ...]:
    """Each notice once, in order of first mention: every rate may bring the same ones."""
    return tuple(dict.fromkeys(notice for group in groups for notice in group))


def tell(notices: Iterable[str], file: TextIO) -> None:
    """Print a line for each notice, for commands that print no table."""
    for notice in merged(notices):
        print(f"note: {notice}", file=file)
