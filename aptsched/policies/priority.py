"""By priority: the trace of priorities with which FastSwitch measures what swapping costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from aptsched.policies.known_before import known_before
from aptsched.policies.option_checks import check_count, check_seed
from aptsched.policies.queue import too_large
from aptsched.policies.swapping import swapping_plan
from aptsched.scheduling.plan import Plan
from aptsched.scheduling.view import View
from aptsched.support.checks import Ints
from aptsched.support.errors import InputError
from aptsched.support.shown import shown

RANDOM, MARKOV, NEVER = REDRAWN = ("random", "markov", "never")


@dataclass(eq=False)
class Priority:
    """Most urgent first, by priorities that are drawn anew now and then, as FastSwitch does; others go to the host.

    An iteration takes requests by priority and, where that is equal, in order of arrival, prefills and decodes
    together, up to the token budget, the sequence limit and the pool. Of the others the last are swapped out as blocks
    are needed, and swapped in when it is their turn. If the host has no room for requests that would have to leave,
    only those in the pool go on; if these outgrow it, the last are preempted and recomputed.

    Parameters
    ----------
    redrawn : str
        "random": at each redraw every request gets any priority, whatever it had; "markov": every priority moves by
        one, up or down; "never": priorities are those that requests came with.
    frequency : float
        Redraws for each iteration, from 0 to 1.
    num_levels : int
        Priorities that are drawn, from 0, the most urgent, on.
    ahead : bool
        Whether who is swapped in runs from the next iteration on, so that nobody waits for its copy.
    seed : int

    Notes
    -----
    Source: Shen, Li and Gao, FastSwitch (arXiv 2411.18424): priorities are computed before a run, in a random and in a
    Markov pattern, and updated 0.04 times an iteration (Llama-8B; 0.02 for Qwen-32B); preemption is by swapping. Its
    executor is the option `--swap grouped` of `aptsched simulate`, to which `ahead` belongs. Assumed: what the two
    patterns are, as the text does not say it, and 8 levels. A request that the pool can never hold with a KV cache is
    rejected.
    The policy remembers priorities and its generator: make a new object for each run.
    """

    redrawn: str = RANDOM
    frequency: float = 0.04
    num_levels: int = 8
    ahead: bool = False
    seed: int = 0

    choices: ClassVar[Mapping[str, tuple[str, ...]]] = {"redrawn": REDRAWN}

    def __post_init__(self) -> None:
        if not isinstance(self.redrawn, str) or self.redrawn not in REDRAWN:
            raise InputError(f"redrawn: {shown(self.redrawn)} is not accepted; {', '.join(REDRAWN)} are")
        if not 0 <= self.frequency <= 1:
            raise InputError(f"frequency: {shown(self.frequency)} is not accepted; 0 to 1 redraws an iteration are")
        check_count("num_levels", self.num_levels)
        check_seed(self.seed)
        self._rng = np.random.default_rng(self.seed)
        self._request_id = self._level = np.empty(0, np.int64)
        self._num_decisions = 0

    def decide(self, view: View) -> Plan:
        """The plan of the next iteration."""
        level = view.priority if self.redrawn == NEVER else self._drawn(view)
        return swapping_plan(view, np.argsort(level, kind="stable"), too_large(view), self.ahead)

    def _drawn(self, view: View) -> Ints:
        """The priority of each request, [n]: as before or, in some iterations, drawn anew."""
        known, before = known_before(self._request_id, view.request_id)
        self._num_decisions += 1
        is_due = int(self.frequency * self._num_decisions) > int(self.frequency * (self._num_decisions - 1))
        level = self._rng.integers(self.num_levels, size=len(known))
        if not is_due or self.redrawn == MARKOV:
            level[known] = self._level[before]
        if is_due and self.redrawn == MARKOV:
            moved = level + self._rng.choice([-1, 1], size=len(level))
            level = np.where(known, np.clip(moved, 0, self.num_levels - 1), level)
        self._request_id, self._level = view.request_id, level
        return level
