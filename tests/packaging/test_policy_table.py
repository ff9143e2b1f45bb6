"""docs/policies.md has a row for each policy, with all of its options."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from aptsched.policies.catalogue import Entry, catalogue
from aptsched.policies.named import WRAPPERS, built_in

PAGE = (Path(__file__).parents[2] / "docs" / "policies.md").read_text(encoding="utf-8")
TABLES = [table for table in PAGE.split("\n\n") if table.startswith("| policy | rule |")]  # others are of figures
ROWS = [
    [cell.strip() for cell in line.strip()[1:-1].split("|")]
    for table in TABLES
    for line in table.splitlines()
    if line.startswith("| `")
]


@pytest.mark.parametrize("name", built_in())
def test_every_policy_has_a_row_with_its_options(name: str) -> None:
    """One row, whose last cell names the options in the order that they have."""
    (row,) = [each for each in ROWS if each[0] == f"`{name}`"]
    policy = built_in()[name]
    known = [each.name for each in fields(policy) if each.init and each.name != "oracle"]  # type: ignore[arg-type]
    assert row[5] == ", ".join(f"`{option}`" for option in known)


@pytest.mark.parametrize("entry", catalogue(()), ids=lambda entry: entry.name)
def test_a_stand_in_is_called_so_in_the_help_which_says_what_is_assumed(entry: Entry) -> None:
    """As the page calls it; the help has the sentence of the docstring that begins with what is assumed."""
    rules = [each[1] for each in ROWS if each[0] == f"`{entry.name}`"]
    is_stand_in = any("stand-in" in rule for rule in rules)
    assert ("stand-in" in entry.rule) == is_stand_in
    assert not is_stand_in or (entry.assumed.startswith("Assumed") and entry.assumed in entry.text)


def test_no_other_row_is_there_but_those_of_policies_around_others() -> None:
    """What is named there can be had by that name."""
    around = [f"`{name}(POLICY)`" for name in WRAPPERS]
    assert sorted(row[0] for row in ROWS) == sorted([*(f"`{name}`" for name in built_in()), *around])
