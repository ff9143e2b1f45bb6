"""Shapes of caches by the ratios of their forms, and amounts by form, by the forms' names."""

from __future__ import annotations

from fractions import Fraction

from aptsched.scheduling.forms import BLOCK_SIZE, CacheForm, CacheShape


def cache_of(hidden: Fraction = Fraction(1, 2), block_size: int = BLOCK_SIZE, **others: Fraction) -> CacheShape:
    """A shape with hidden states of that ratio, and other forms by their names."""
    ratios = {CacheForm[name.upper()]: ratio for name, ratio in {"hidden": hidden, **others}.items()}
    return CacheShape(ratios, block_size)


def by_form(**amounts: int) -> tuple[int, ...]:
    """Amounts by form, 0 of those that are not named."""
    return tuple(amounts.get(form.name.lower(), 0) for form in CacheForm)
