"""What a policy sees: everything observable now, and no true output length."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypeVar

from aptsched.scheduling.columns import ObservedColumns, PoolColumns, dtypes, meanings
from aptsched.scheduling.forms import CacheShape
from aptsched.scheduling.iteration_time import IterationTime
from aptsched.support.arrays import above_0
from aptsched.support.checks import Bools, Floats, Ints
from aptsched.support.lazy import lazy
from aptsched.support.quick_init import of_values

Array = TypeVar("Array", Ints, Floats, Bools)

VIEW_COLUMNS = dtypes(ObservedColumns, PoolColumns)
UNREAD = "_unread"  # in the `__dict__` of a view: the function from a name to a copy of that column


@dataclass(frozen=True, eq=False, kw_only=True)
class View(ObservedColumns, PoolColumns):
    """The unfinished requests, and what is free for them.

    Requests are described by columns, read by name: `view.num_tokens` is an array of n numbers, one for each
    unfinished request in order of arrival, and position i is the same request in all of them. Their type is int64,
    float64 or bool. They are copies and read-only; a worker makes each where it is first read, so that a decision about
    thousands costs what it looks at. The list is below, and in the error of a policy that reads anything else;
    `view.running` and `view.num_remaining` follow from them. A new column is a line in
    `aptsched/scheduling/columns.py`.

    Attributes
    ----------
    now_s : float
        In seconds on the clock of the loop.
    free_blocks, num_blocks : int
        Blocks of the pool.
    free_host_blocks, num_host_blocks : int
        Blocks on the host.
    max_tokens, max_seqs : int
        Token budget and sequence limit of an iteration.
    cache : CacheShape
    times : IterationTime
        The times that an iteration is predicted with.
    """

    now_s: float
    free_blocks: int
    num_blocks: int
    free_host_blocks: int
    num_host_blocks: int
    max_tokens: int
    max_seqs: int
    cache: CacheShape
    times: IterationTime

    if not TYPE_CHECKING:  # to type checkers a view has the names above, and no others

        def __getattr__(self, name: str) -> Any:
            """A column that was not read before."""
            values = self.__dict__
            if UNREAD not in values or name not in VIEW_COLUMNS:
                raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name, obj=self)
            column = values[name] = values[UNREAD](name)
            return column

    def __getstate__(self) -> dict[str, Any]:
        """All that it has, to be copied or pickled."""
        return vars(all_read(self))

    @lazy
    def running(self) -> Bools:
        """Requests that hold blocks of the pool, [n]; the others wait, or are swapped out."""
        return _read_only(above_0(self.num_held))

    @lazy
    def num_remaining(self) -> Ints:
        """Tokens to be fed before the next token comes, [n]; 1 for a decode."""
        return _read_only(self.num_tokens - self.num_cached)


def unread_view(columns: Callable[[str], Ints | Floats | Bools], values: dict[str, Any]) -> View:
    """A view with these values of its other fields, whose columns are asked for where they are read, by name.

    `columns` gives read-only copies as of now, until `all_read`. The dict becomes the view's own.
    """
    values[UNREAD] = columns
    return of_values(View, values)


def derived(view: View, rows: Ints | None = None, **others: Any) -> View:
    """A view of these rows alone, in their order, and of all by default, with other values of its other fields.

    A column is read from the given view where it is asked for; whoever keeps the new view keeps the given one with it.
    """

    def column(name: str) -> Any:
        whole = getattr(view, name)
        return whole if rows is None else _read_only(whole[rows])

    return unread_view(column, {name: getattr(view, name) for name in NO_COLUMNS} | others)


def all_read(view: View) -> View:
    """The view itself, all of whose columns are read by now, so that what comes later changes nothing in it."""
    for name in VIEW_COLUMNS:
        getattr(view, name)
    vars(view).pop(UNREAD, None)
    return view


NO_COLUMNS = tuple(each.name for each in fields(View) if each.name not in VIEW_COLUMNS)
VIEW_NAMES = (
    *(each.name for each in fields(View)),
    *(name for name, value in vars(View).items() if isinstance(value, lazy)),
)

View.__doc__ = "\n".join(
    [
        f"{View.__doc__}",
        "    Columns",
        "    -------",
        *(f"    {name}\n        {meaning}" for name, meaning in meanings(ObservedColumns, PoolColumns).items()),
    ]
)

View.__init__.__annotations__.clear()  # they hold the sentences above: help(View) would show each three times


def _read_only(array: Array) -> Array:
    array.setflags(write=False)
    return array
