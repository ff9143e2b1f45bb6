"""What a policy says: the next iteration."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from typing import Protocol

import numpy as np

from aptsched.problem.batch_problem import BatchProblem
from aptsched.problem.selection import Selection
from aptsched.scheduling.record import RequestRecord
from aptsched.scheduling.view import VIEW_COLUMNS, View
from aptsched.support.checks import Ints
from aptsched.support.errors import InputError
from aptsched.support.quick_init import quick_init

_NOTHING = np.empty(0, np.int64)
ViewRows = Ints  # positions of requests in the view; the fields of a plan that have this type are `ROWS`


def nothing() -> Ints:
    """No positions."""
    return _NOTHING


@quick_init
@dataclass(frozen=True, eq=False)
class Plan:
    """Entries of the iteration and what happens before it; positions are rows of the view.

    Rejections come first, then preemptions, swaps to the host, swaps from there, conversions, and entries in order. Of
    conversions those that give blocks back come first, so that others find them. What does not fit in the pool or on
    the host is left out, never over-committed: who cannot be swapped out keeps its blocks, who cannot be swapped in is
    not converted and does not run, and a conversion that does not fit leaves its request in the form it has, and its
    entry runs so. A row that is rejected or swapped out is in no other array, one that is preempted is not converted or
    swapped in. A running request that is in no array is held for the iteration: it keeps its cache and is not fed. All
    arrays are int64.

    Attributes
    ----------
    request : int array, [b]
        Row of each entry; each row once. An empty array idles.
    num_tokens : int array, [b]
        Tokens fed, from 1 to num_remaining of the row (to its num_tokens where it is preempted in this plan).
    form : int array, [b]
        `CacheForm` of the tokens fed: the row's own where it runs on, that of `convert_to` where it is converted, any
        that the cache offers where it waits or is preempted in this plan. Who is on the host runs only if it is swapped
        in.
    preempt : int array
        Rows whose cache is thrown away, in the pool or on the host; their output so far is kept, and their tokens are
        fed again later.
    swap_out : int array
        Rows whose cache is copied to the host, to give its blocks to others.
    swap_in : int array
        Rows whose cache is copied back from the host.
    convert : int array, [c]
        Rows whose cache is converted in place, without a new prefill.
    convert_to : int array, [c]
        `CacheForm` that each of them gets: one that its own can become (`aptsched.scheduling.forms`) and the cache
        offers, as KV of hidden states.
    reject : int array
        Rows that are given up.
    reject_reasons : sequence of str
        Why, a text for each of them, for their records: one line of up to 300 characters. Where it is empty, or there
        are none at all, the record says what the request needs and what there is.
    problem, selection : BatchProblem, Selection, optional
        The decision as a batch-composition problem, its forms in the order of `CacheForm`, and its certified answer.
    candidates : int array
        Row of each request of the problem, [n]: the selection serves candidates[i] in form selection.form[i].
    """

    request: ViewRows = field(default_factory=nothing)
    num_tokens: Ints = field(default_factory=nothing)
    form: Ints = field(default_factory=nothing)
    preempt: ViewRows = field(default_factory=nothing)
    swap_out: ViewRows = field(default_factory=nothing)
    swap_in: ViewRows = field(default_factory=nothing)
    convert: ViewRows = field(default_factory=nothing)
    convert_to: Ints = field(default_factory=nothing)
    reject: ViewRows = field(default_factory=nothing)
    reject_reasons: Sequence[str] = ()
    problem: BatchProblem | None = None
    selection: Selection | None = None
    candidates: ViewRows = field(default_factory=nothing)


ROWS = tuple(each.name for each in fields(Plan) if each.type == "ViewRows")


class Policy(Protocol):
    """Composes the next batch. It may be an `Observer` too.

    By an attribute `wanted_forms`, a tuple of `CacheForm`, it may say which forms it gives: a lossy one is offered to a
    policy that names it, and to no other.
    """

    def decide(self, view: View) -> Plan:
        """The plan of the next iteration."""
        ...


def decided(policy: Policy, view: View) -> Plan:
    """The policy's plan for this view.

    Raises
    ------
    AttributeError
        The policy reads a column that is none: the message lists those that there are.
    """
    try:
        return policy.decide(view)
    except AttributeError as error:
        if isinstance(error.obj, View):
            error.args = (f"a view has no {error.name!r}; its columns are {', '.join(VIEW_COLUMNS)}",)
        raise


class Observer(Protocol):
    """What a policy may have beside `decide`, to learn from the requests that have ended."""

    def on_record(self, record: RequestRecord) -> object:
        """Told once of each request, after it has ended and before the next decision.

        Its true length, `record.num_output_tokens`, is known from then on. The outcome says how it ended: finished,
        aborted, rejected, also where no policy ever saw it, or unfinished as the run was broken off.
        """
        ...


def observer_of(policy: Policy) -> Callable[[RequestRecord], object] | None:
    """What tells a policy of requests that have ended; None where it does not ask for that.

    Raises
    ------
    InputError
        Its `on_record` cannot be called.
    """
    told: Callable[[RequestRecord], object] | None = getattr(policy, "on_record", None)
    if told is not None and not callable(told):
        raise InputError(f"policy: on_record of type {type(told).__name__} is not accepted; a method is")
    return told
