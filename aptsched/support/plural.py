"""Numbers of things as people say them: one request, two requests."""

from __future__ import annotations


def how_many(number: float, one: str, more: str = "") -> str:
    """The number with its noun: "1 request", "2 requests", "0.5 requests".

    Parameters
    ----------
    number : float
        Whole, or as `:g` writes it.
    one : str
        The noun for 1.
    more : str, optional
        That for others, where an s makes none.
    """
    said = str(number) if isinstance(number, int) else f"{number:g}"
    return f"{said} {one if number == 1 else more or one + 's'}"
