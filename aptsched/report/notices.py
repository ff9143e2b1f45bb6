"""Notices: a line each on what was read and not used, or dropped, repeated, changed, or taken for something."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TextIO


def merged(*groups: Iterable[str]) -> tuple[str, ...]:
    """Each notice once, in the order in which they first come: the same may be said of every rate."""
    return tuple(dict.fromkeys(notice for group in groups for notice in group))


def tell(notices: Iterable[str], file: TextIO) -> None:
    """A line for each notice, as where a command prints no table."""
    for notice in merged(notices):
        print(f"note: {notice}", file=file)
