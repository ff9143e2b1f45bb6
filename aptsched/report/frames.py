"""Results as tables of pandas; no other module imports it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from aptsched.support.errors import InputError
from aptsched.support.shown import shown

if TYPE_CHECKING:
    from pandas import DataFrame


def chosen_frame(tables: Mapping[str, Sequence[Mapping[str, Any]]], name: str) -> DataFrame:
    """One of the tables by name: a row for each entry, a column for each field, nested fields among them.

    Raises
    ------
    InputError
        There is no such table, or pandas is not installed.
    """
    if name not in tables:
        raise InputError(f"table: {shown(name)} is not known; {', '.join(tables)} are")
    try:
        import pandas
    except ModuleNotFoundError as error:
        raise InputError("table: this needs pandas; pip install 'aptsched[report]' brings it") from error
    return pandas.json_normalize(list(tables[name]), sep="_")
