"""What a policy says: the next iteration."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Protocol

import numpy as np

from aptsched.problem.batch_problem import BatchProblem
from aptsched.problem.selection import Selection
from aptsched.scheduling.view import View
from aptsched.support.checks import Ints
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
    swapped in. All arrays are int64.

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
    problem: BatchProblem | None = None
    selection: Selection | None = None
    candidates: ViewRows = field(default_factory=nothing)


ROWS = tuple(each.name for each in fields(Plan) if each.type == "ViewRows")


class Policy(Protocol):
    """Composes the next batch."""

    def decide(self, view: View) -> Plan:
        """The plan of the next iteration."""
        ...
