"""The next iteration is decided while one runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Protocol, runtime_checkable

import numpy as np

from aptsched.policies.reordered import placed
from aptsched.scheduling.plan import ROWS, Plan, nothing
from aptsched.support.checks import Bools, Ints
from aptsched.support.errors import InputError
from engine.loop.arrivals import Arrivals
from engine.loop.worker import Worker
from engine.state.batch import Batch, Executor, Step
from engine.state.pool import BlockPool
from engine.state.request_table import RequestTable

# Arrays of a plan, and the one that says of which rows each is.
ROWS_OF = {name: name for name in ROWS} | {"num_tokens": "request", "form": "request", "convert_to": "convert"}


@runtime_checkable
class Starts(Executor, Protocol):
    """An executor that can go on while its caller does something else."""

    def start(self, batch: Batch) -> Callable[[], Step]:
        """Begins to run a batch; the function returned waits for it."""
        ...


@dataclass(frozen=True, eq=False)
class Prepared:
    """A plan for the rows of requests as they will be when an iteration has ended, if none of its tokens ends one.

    Attributes
    ----------
    plan : Plan
    columns : tuple of int array, [n]
        The `columns_of` those rows.
    """

    plan: Plan
    columns: tuple[Ints, ...]

    def now(self, table: RequestTable, pool: BlockPool) -> Plan | None:
        """The plan without requests that have left, for the rows of now; None where others are not as they were to be.

        Requests that have arrived stand behind the others, and are not in it. Where somebody has left, the problem that
        was solved is no longer this one, and the plan has none.
        """
        present = np.isin(self.columns[0], table.request_id[: table.num_rows])
        count = int(present.sum())
        of_both = zip(columns_of(table, pool, count), self.columns, strict=True)
        if not all(np.array_equal(now, then[present]) for now, then in of_both):
            return None
        return self.plan if count == len(present) else of_rows(self.plan, present)


def columns_of(table: RequestTable, pool: BlockPool, count: int) -> tuple[Ints, ...]:
    """Number, tokens, cached tokens and form of each of the first rows of a table, [count]."""
    slot = table.slot[:count]
    return table.request_id[:count], table.num_tokens[:count], pool.num_cached[slot], pool.form[slot]


def of_rows(plan: Plan, present: Bools) -> Plan:
    """The plan for these rows alone, [n], which move up; without its problem."""
    arrays = {name: getattr(plan, name)[present[getattr(plan, rows)]] for name, rows in ROWS_OF.items()}
    reasons = [why for why, stays in zip(plan.reject_reasons, present[plan.reject].tolist(), strict=False) if stays]
    kept = replace(plan, **arrays | {"candidates": nothing()}, reject_reasons=reasons, problem=None, selection=None)
    return placed(kept, present.cumsum() - 1)


class Ahead:
    """Asks the policy for the next iteration while one runs: the executor of a worker, and its `skip`.

    A decision sees the requests as they will be: each that gets a token has one more, those that are over by their
    lengths are gone. It does not see the tokens, who arrives meanwhile, or when the iteration ends: it takes its own
    time for that. Requests that end by a token, or are aborted, are left out of the plan. Where nothing is left of it,
    or an iteration was broken off, the policy is asked again; else once for each iteration. What it raises is raised
    when the running iteration has ended.

    Parameters
    ----------
    executor : Starts

    Notes
    -----
    Each worker has one of its own, and a real clock.
    """

    def __init__(self, executor: Starts) -> None:
        self.executor = executor
        self._worker: Worker | None = None
        self._begun_s = self._began_at_s = 0.0  # the present iteration, on the clock of the worker's owner and here
        self._prepared: Prepared | Exception | None = None

    def __call__(self, worker: Worker, now_s: float, arrivals: Arrivals | None) -> Plan:
        """The plan of the iteration that begins now."""
        self._worker, self._begun_s, self._began_at_s = worker, now_s, perf_counter()
        prepared, self._prepared = self._prepared, None
        if isinstance(prepared, Exception):
            raise prepared
        plan = None if prepared is None else prepared.now(worker.table, worker.pool)
        return worker.planned(now_s) if plan is None or is_empty(plan) else plan

    def run(self, batch: Batch) -> Step:
        """Run the batch; decide what comes next meanwhile."""
        finish = self.executor.start(batch)
        try:
            self._prepared = self._decided()
        except Exception as error:
            self._prepared = error
        try:
            return finish()
        except BaseException:
            self._prepared = None
            raise

    def _decided(self) -> Prepared | None:
        """The plan of the next iteration; None where no request will be there."""
        worker = self._worker
        assert worker is not None, "a worker asks for a plan before it runs it"
        now_s = self._begun_s + perf_counter() - self._began_at_s
        table, freed = after(worker, now_s)
        if not table.num_rows:
            return None
        return Prepared(worker.planned(now_s, table, freed), columns_of(table, worker.pool, table.num_rows))


def decides_ahead(executor: Executor) -> Ahead:
    """What decides ahead of an executor's iterations; InputError if it cannot go on while somebody else does."""
    if not isinstance(executor, Starts):
        kind = type(executor).__name__
        raise InputError(
            f"overlap: True is not accepted with an executor of type {kind}; with one that has `start` it is"
        )
    return Ahead(executor)


def after(worker: Worker, now_s: float) -> tuple[RequestTable, int]:
    """The requests as they will be after a batch that ends now, and the blocks that those who are over will free.

    Who gets a token has all tokens cached by then, and nobody else has.
    """
    table, pool = worker.table.copied(), worker.pool
    slot, num_tokens = table.slot[: table.num_rows], table.num_tokens[: table.num_rows]
    rows = np.flatnonzero(pool.num_cached[slot] == num_tokens)
    over = rows[table.add_tokens(rows, now_s)]
    freed = int(pool.device.num_held[table.slot[over]].sum())
    table.remove(np.concatenate([over, *worker.book.leaving]))
    return table, freed


def is_empty(plan: Plan) -> bool:
    """Whether a plan does nothing."""
    return not any(len(getattr(plan, name)) for name in ROWS if name != "candidates")
