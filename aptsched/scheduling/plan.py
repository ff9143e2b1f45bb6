"""What a policy decides: the plan of the next iteration."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Protocol, TypeVar

import numpy as np

from aptsched.problem.batch_problem import BatchProblem
from aptsched.problem.selection import Selection
from aptsched.scheduling.record import RequestRecord
from aptsched.scheduling.view import VIEW_NAMES, View
from aptsched.support.checks import Ints
from aptsched.support.errors import InputError
from aptsched.support.quick_init import quick_init

_NOTHING = np.empty(0, np.int64)
Decide = TypeVar("Decide", bound=Callable[..., Any])
ALWAYS = 2**62  # iterations: a plan that holds as long as nothing happens
ViewRows = Ints  # positions of requests in the view; the fields of a plan that have this type are `ROWS`


def nothing() -> Ints:
    """No positions."""
    return _NOTHING


@quick_init
@dataclass(frozen=True, eq=False)
class Plan:
    """Entries of the iteration and what happens before it; positions are rows of the view.

    Rejections come first, then preemptions, swaps to the host, swaps from the host, conversions, and entries in order.
    Conversions that free blocks come before those that take more. What does not fit in the pool or on the host is left
    out, never over-committed: a request that cannot be swapped out keeps its blocks; one that cannot be swapped in is
    not converted and does not run; one whose conversion does not fit keeps its form, and its entry runs in that. A row
    that is rejected or swapped out is in no other array; one that is preempted is not converted or swapped in. A
    running request that is in no array is held for the iteration: it keeps its cache and is not fed. All arrays are
    int64.

    Attributes
    ----------
    request : int array, [b]
        Row of each entry; each row once. An empty array idles.
    num_tokens : int array, [b]
        Tokens fed, from 1 to num_remaining of the row (to its num_tokens where it is preempted in this plan).
    form : int array, [b]
        `CacheForm` of the tokens fed: the row's own if it runs on, that of `convert_to` if it is converted, any
        that the cache offers if it waits or is preempted in this plan. A request on the host can only run if it is
        swapped in.
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
        `CacheForm` that each of them gets: one that its own form can become (`aptsched.scheduling.forms`) and that the
        cache offers, for example KV from hidden states.
    reject : int array
        Rows to reject: their requests end without being served further.
    reject_reasons : sequence of str
        The reason of each rejection, for its record: one line of up to 500 characters. Where a reason is empty, or
        none are given, the record says what the request needs and what the pool has.
    problem, selection : BatchProblem, Selection, optional
        The decision as a batch-composition problem, its forms in the order of `CacheForm`, and its certified answer.
    candidates : int array
        Row of each request of the problem, [n]: the selection serves candidates[i] in form selection.form[i].
    holds : int
        For how many further iterations the policy would feed the entries, each its newest token alone, and do nothing
        else, if nothing happens in them but that each entry gets its next token, the blocks for it are there, and time
        goes by; `ALWAYS` for as long as that is so. A simulation may take such iterations at once, without asking, if
        the policy's own `decide` is marked (`says_holds`). 0 is always right.
    holds_until_s : float
        It holds only for iterations that begin at this time or earlier, on the clock of the view, as where a request
        that waits becomes too late then.
    then_decodes : bool
        Whether the policy, where after this plan all unfinished requests have only their newest token to be fed, would
        feed all of them in row order, without a problem, and so on with those that are left as others end, for as long
        as nobody comes and there are blocks for all. As with `holds` it may not be asked then. False is always right.
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
    holds: int = 0
    holds_until_s: float = math.inf
    then_decodes: bool = False


ROWS = tuple(each.name for each in fields(Plan) if each.type == "ViewRows")


class Policy(Protocol):
    """Composes the next batch. It may be an `Observer` too.

    An attribute `wanted_forms`, a tuple of `CacheForm`, may name the forms it gives: a lossy form is only offered to
    policies that name it.
    """

    def decide(self, view: View) -> Plan:
        """The plan of the next iteration."""
        ...


def says_holds(decide: Decide) -> Decide:
    """Marks a `decide` that means what `Plan.holds` says in its plans.

    A policy that passes on the plans of another one may decide otherwise at any time: its `decide` is not marked, and
    it is asked in every iteration. So is one that inherits its `decide`, as that may call what it has changed.
    """
    decide.says_holds = True  # type: ignore[attr-defined]
    return decide


def means_holds(policy: Policy) -> bool:
    """Whether the policy's class has a `decide` of its own that is marked."""
    return getattr(vars(type(policy)).get("decide"), says_holds.__name__, False) is True


def decided(policy: Policy, view: View) -> Plan:
    """The policy's plan for this view.

    Raises
    ------
    AttributeError
        The policy reads what a view does not have: the message lists what it has.
    """
    try:
        return policy.decide(view)
    except AttributeError as error:
        if isinstance(error.obj, View):
            error.args = (f"a view has no {error.name!r}; it has {', '.join(VIEW_NAMES)}",)
        raise


class Observer(Protocol):
    """The method that a policy may have beside `decide`, to learn from requests that have ended."""

    def on_record(self, record: RequestRecord) -> object:
        """Called once for each request, after it has ended and before the next decision.

        From then on its true length, `record.num_output_tokens`, is known. The outcome says how it ended: finished,
        aborted, rejected (even if no policy ever saw it), or unfinished because the run was broken off.
        """
        ...


def observer_of(policy: Policy) -> Callable[[RequestRecord], object] | None:
    """The policy's `on_record`; None if it has none.

    Raises
    ------
    InputError
        Its `on_record` cannot be called.
    """
    told: Callable[[RequestRecord], object] | None = getattr(policy, "on_record", None)
    if told is not None and not callable(told):
        raise InputError(f"policy: on_record of type {type(told).__name__} is not accepted; a method is")
    return told
