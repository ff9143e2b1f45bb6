"""The list of columns is what view, request table and record have, and a view is read by these names."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, dataclass, fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aptsched.scheduling.columns import (
    COUNTS,
    CountColumns,
    IdentityColumns,
    InternalColumns,
    LabelColumns,
    ObservedColumns,
    PoolColumns,
    dtypes,
    meanings,
)
from aptsched.scheduling.iteration_time import IterationTime
from aptsched.scheduling.plan import Plan, decided
from aptsched.scheduling.record import SLO, RequestRecord
from aptsched.scheduling.view import View, all_read
from aptsched.support.errors import MOST_SHOWN
from engine.loop.observe import observe
from engine.state.pool import BlockPool
from engine.state.request import Request
from engine.state.request_table import RequestTable
from views import Seen, view_of

REQUESTS = st.lists(st.builds(Request, st.just(0), st.floats(0, 1e6), st.integers(1, 99), slo=st.just(SLO(1.5, 0.5))))


def table_of(requests: list[Request]) -> RequestTable:
    """Their table, with a number in each cell that its request does not give."""
    table = RequestTable()
    for request in requests:
        table.add(request, end_tokens=100, stop_token_ids=frozenset())
    for number, name in enumerate([*COUNTS, "pending_since_s", "objective_s", "missed_slo"]):
        getattr(table, name)[: table.num_rows] = (np.arange(table.num_rows) + number) % 2
    return table


@given(REQUESTS)
def test_a_view_has_the_columns_that_are_observed_as_the_table_holds_them(requests: list[Request]) -> None:
    """In their types, read-only, one number a request; with the view's own fields they are all that it has."""
    table = table_of(requests)
    pool = BlockPool(8, view_of([]).cache)
    view = observe(table, pool, 2.0, 10, 10, IterationTime())
    for name, dtype in dtypes(ObservedColumns, PoolColumns).items():
        column = getattr(view, name)
        assert column.dtype == dtype and column.shape == (len(requests),) and not column.flags.writeable, name
        assert name in dtypes(PoolColumns) or column.tolist() == getattr(table, name)[: len(requests)].tolist()
    assert set(vars(all_read(view))) == {field.name for field in fields(View)}


@given(REQUESTS, st.sets(st.integers(0, 30)))
def test_all_columns_of_a_table_move_together(requests: list[Request], removed: set[int]) -> None:
    """Removing rows removes them from each column of the list, whose rows beyond the last request are zero."""
    table, names = table_of(requests), dtypes(ObservedColumns, InternalColumns)
    rows = np.array(sorted(row for row in removed if row < len(requests)), np.int64)
    expected = {name: np.delete(getattr(table, name)[: len(requests)], rows).tolist() for name in names}
    table.remove(rows)
    for name, dtype in names.items():
        column = getattr(table, name)
        assert column.dtype == dtype and column[: table.num_rows].tolist() == expected[name]
        assert not any(column[table.num_rows :].tolist())


def test_a_table_of_thousands_keeps_its_order_as_the_first_go_and_new_ones_come() -> None:
    """As some of the first end and others arrive behind the queue, each row keeps all its columns."""
    table, kept, rng = RequestTable(), [], np.random.default_rng(5)
    for request_id in range(6000):
        table.add(Request(request_id, request_id / 8, request_id + 1), request_id + 2, frozenset({request_id}))
        kept.append(request_id)
        if len(kept) > 2500:
            rows = rng.choice(40 if request_id % 7 else len(kept), 2, replace=False)
            table.remove(rows)
            kept = np.delete(kept, rows).tolist()
    assert table.request_id[: table.num_rows].tolist() == kept
    assert table.arrived_at_s[: table.num_rows].tolist() == [request_id / 8 for request_id in kept]
    assert [request.request_id for request in table.request[: table.num_rows]] == kept
    assert table.stop_token_ids[: table.num_rows].tolist() == [frozenset({request_id}) for request_id in kept]
    assert not table.num_tokens[table.num_rows :].any() and not table.request[table.num_rows :].any()


def test_a_record_has_what_the_list_says_is_recorded() -> None:
    """Which request it is, what is said of it and its counts, of the same names; the rest is the record's own."""
    own = {"slo", "token_at_s", "outcome", "reason"}
    assert {field.name for field in fields(RequestRecord)} - own == set(
        dtypes(IdentityColumns, LabelColumns, CountColumns)
    )


def test_each_column_stands_in_the_list_once_and_says_what_it_means() -> None:
    """In a sentence; what policies see is in the help of `View` too."""
    groups = (ObservedColumns, PoolColumns, InternalColumns)
    names = [name for group in groups for name in dtypes(group)]
    assert len(names) == len(set(names))
    assert all(meaning[0].isupper() or meaning[0] == "`" for meaning in meanings(*groups).values())
    assert all(meaning.endswith(".") for meaning in meanings(*groups).values())
    assert View.__doc__ is not None
    assert all(f"    {name}\n        {meaning}" in View.__doc__ for name, meaning in meanings(*groups[:2]).items())


@dataclass
class Misspells:
    """A policy that reads what there is not."""

    of: object

    def decide(self, view: View) -> Plan:
        return Plan(view.num_token if self.of is None else self.of.num_token)  # type: ignore[attr-defined]


def test_a_name_that_a_view_has_not_is_answered_by_those_that_it_has() -> None:
    """A policy that misspells one learns all names; other attributes that are missing are left as they are."""
    listed = "a view has no 'num_token'; it has .*num_cached.*num_tokens.*running, num_remaining$"
    view = view_of([Seen(10)])
    with pytest.raises(AttributeError, match=listed) as caught:
        decided(Misspells(None), view)
    names = str(caught.value).partition("; it has ")[2].split(", ")
    assert set(names) == {name for name in dir(view) if not name.startswith("_")}
    assert len(str(caught.value)) < MOST_SHOWN
    with pytest.raises(AttributeError, match="'int' object has no attribute 'num_token'"):
        decided(Misspells(3), view_of([Seen(10)]))


def test_a_view_is_frozen_and_replaced() -> None:
    """Neither a column nor a number is set; a replaced view has what was changed, and the old one stays."""
    view = view_of([Seen(10), Seen(20)])
    for name in ("num_tokens", "free_blocks"):
        with pytest.raises(FrozenInstanceError):
            setattr(view, name, 0)
    other = replace(view, num_tokens=view.num_tokens + 1, now_s=11.0)
    assert (other.num_tokens.tolist(), other.now_s, view.num_tokens.tolist()) == ([11, 21], 11.0, [10, 20])
    assert other.num_remaining.tolist() == [11, 21] and other.arrived_at_s is view.arrived_at_s


def test_a_view_without_a_column_is_not_made() -> None:
    """Nor one with a name that is none."""
    given = dict(vars(view_of([Seen(10)])))
    with pytest.raises(TypeError, match="form"):
        View(**{name: value for name, value in given.items() if name != "form"})
    with pytest.raises(TypeError, match="num_token"):
        View(**given | {"num_token": given["num_tokens"]})
