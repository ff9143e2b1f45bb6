"""`quick_init` makes what `dataclass(frozen=True)` makes."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aptsched.support.quick_init import changed, quick_init


@dataclass(frozen=True, kw_only=True)
class Named:
    """A base, whose field is given by name."""

    named: int


@dataclass(frozen=True)
class Plain(Named):
    """One field without default, one with, one with a factory."""

    first: int
    second: int = 2
    third: tuple[int, ...] = field(default_factory=tuple)


@quick_init
@dataclass(frozen=True)
class Quick(Named):
    """The same."""

    first: int
    second: int = 2
    third: tuple[int, ...] = field(default_factory=tuple)


ARGUMENTS = st.lists(st.integers(), max_size=4)
NAMED = st.dictionaries(st.sampled_from(["named", "first", "second", "third", "fourth"]), st.integers())


@given(ARGUMENTS, NAMED)
def test_it_accepts_what_a_frozen_dataclass_accepts(positional: list[int], named: dict[str, int]) -> None:
    """The same arguments, by position and name, give the same fields; all others a TypeError."""

    def made(cls: Any) -> Any:
        try:
            return vars(cls(*positional, **named))
        except TypeError:
            return None

    assert made(Quick) == made(Plain)


def test_it_stays_frozen() -> None:
    """A field cannot be set afterwards; a replaced copy differs in what was said, and equality is by fields."""
    made = Quick(1, named=3)
    with pytest.raises(FrozenInstanceError):
        made.first = 5  # type: ignore[misc]
    assert replace(made, second=7) == Quick(1, 7, named=3) != made


def test_changed_is_what_replace_makes() -> None:
    """The fields that are not named stay as they are, and so does the object itself."""
    before = Quick(1, 3, named=5)
    assert vars(changed(before, second=7)) == vars(replace(before, second=7)) == {**vars(before), "second": 7}
    assert before.second == 3
