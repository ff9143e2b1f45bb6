"""The requests of vLLM's scheduler as columns, kept up to date by what it does, so that a view costs no loop."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import compress
from typing import Any

import numpy as np

from aptsched.scheduling.columns import COUNTS
from aptsched.scheduling.forms import KV, NONE, CacheShape, blocks_for
from aptsched.scheduling.iteration_time import IterationTime
from aptsched.scheduling.record import Outcome, RequestRecord
from aptsched.scheduling.view import View, unread_view
from aptsched.support.checks import Bools, Ints
from engine.loop.lifecycle import record_of
from engine.state.request import Request
from engine.state.request_table import RequestTable


class Mirror:
    """A row for each unfinished request of vLLM, in the order in which they were added.

    Attributes
    ----------
    table : RequestTable
        Its tokens are those that have come.
    core : list
        vLLM's own request of each row.
    num_cached : int array, [n]
        Tokens in the cache once all iterations under way are over; 0 for those that wait.
    num_in_flight : int array, [n]
        Tokens that iterations under way yield.
    num_found : int array, [n]
        Tokens of a waiting request that the prefix cache has, as far as was looked up; at most its prompt but one.
    num_changes : int
        How often anything has happened but that requests were fed and got tokens.
    """

    def __init__(self, block_size: int) -> None:
        self.cache = CacheShape({}, block_size)
        self.table, self.core = RequestTable(), list[Any]()
        self.num_cached = self.num_in_flight = self.num_found = np.zeros(0, np.int64)
        self._number_of: dict[str, int] = {}
        self.num_changes = 0
        self._last = (-1, list[str](), np.zeros(0, np.int64))  # changes so far, requests by name, and their rows

    def __contains__(self, request_id: str) -> bool:
        """Whether vLLM's request of this name has a row."""
        return request_id in self._number_of

    @property
    def num_rows(self) -> int:
        """Unfinished requests."""
        return self.table.num_rows

    @property
    def is_ending(self) -> Bools:
        """Requests that are over once what is under way has come, [n]: vLLM feeds them no more."""
        end = self.table.end_tokens[: self.num_rows]
        over: Bools = (self.num_in_flight > 0) & (self.num_tokens >= end)
        return over

    @property
    def num_tokens(self) -> Ints:
        """Prompt and output of each request, what is under way included, [n]."""
        num_tokens: Ints = self.table.num_tokens[: self.num_rows] + self.num_in_flight
        return num_tokens

    def add(self, core: Any, request: Request) -> None:
        """Adds a last row: vLLM's request, and the same for policies, with a number above all before."""
        self.table.add(request, request.cap_tokens, frozenset())
        self.core.append(core)
        self._number_of[core.request_id] = request.request_id
        self.num_changes += 1
        self._set_columns(np.append(each, 0) for each in (self.num_cached, self.num_in_flight, self.num_found))

    def _set_columns(self, columns: Iterable[Ints]) -> None:
        self.num_cached, self.num_in_flight, self.num_found = columns

    def number(self, core: Any) -> int:
        """The number of vLLM's request."""
        return self._number_of[core.request_id]

    def rows(self, request_ids: Iterable[str]) -> Ints:
        """Rows of vLLM's requests by name: numbers rise along the rows. The same requests again have the same rows."""
        names = list(request_ids)
        if (self.num_changes, names) != self._last[:2]:
            numbers = np.fromiter(map(self._number_of.__getitem__, names), np.int64, len(names))
            found = np.searchsorted(self.table.request_id[: self.num_rows], numbers)
            self._last = self.num_changes, names, found
        return self._last[2]

    def remove(self, request_id: str, outcome: Outcome, reason: str) -> RequestRecord:
        """Takes a request out that has ended, and makes its record."""
        rows = self.rows([request_id])
        row = int(rows[0])
        self.table.count_recomputed(rows, self.num_cached[rows])
        counts = {name: int(getattr(self.table, name)[row]) for name in COUNTS}
        record = record_of(self.table.request[row], outcome, reason, counts)
        self.table.remove(rows)
        del self.core[row], self._number_of[request_id]
        self.num_changes += 1
        self._set_columns(np.delete(each, row) for each in (self.num_cached, self.num_in_flight, self.num_found))
        return record

    def preempted(self, request_id: str) -> None:
        """Notes that a request has lost its cache."""
        rows = self.rows([request_id])
        self.table.count_preemptions(rows, self.num_cached[rows])
        self.num_cached[rows] = 0
        self.num_changes += 1

    def found(self, row: int, num_tokens: int) -> None:
        """Notes how many tokens of a waiting request the prefix cache has."""
        found = min(num_tokens, int(self.table.num_prompt_tokens[row]) - 1)
        self.num_changes += int(found != self.num_found[row])
        self.num_found[row] = found

    def scheduled(self, num_tokens: dict[str, int]) -> Ints:
        """Notes what an iteration that begins feeds to each request by name; also those it admits. Returns rows."""
        rows = self.rows(num_tokens)
        admitted = rows[self.num_cached[rows] == 0].tolist()
        self.num_cached[rows] += np.fromiter(num_tokens.values(), np.int64, len(rows))
        for row in admitted:  # with what the prefix cache had
            self.num_cached[row] = self.core[row].num_computed_tokens
            self.num_found[row] = 0
        self.num_in_flight[rows] += self.num_cached[rows] >= self.num_tokens[rows]
        return rows

    def sampled(self, request_ids: Sequence[str], token_ids: Sequence[Sequence[int]], now_s: float) -> None:
        """Notes the tokens that an iteration has yielded, for the requests that are still there."""
        rows = self.rows(each for each in compress(request_ids, token_ids) if each in self._number_of)
        self.num_in_flight[rows] -= 1
        self.table.add_tokens(rows, now_s)
        for request in self.table.request[rows]:
            request.token_at_s.append(now_s)

    def reread(self) -> None:
        """Takes over how far requests are, after vLLM has dropped tokens that were under way."""
        self.num_changes += 1
        self.table.num_tokens[: self.num_rows] = [each.num_tokens for each in self.core]
        of_core = [[each.num_computed_tokens, each.num_output_placeholders, 0] for each in self.core]
        self._set_columns(np.array(of_core, np.int64).reshape(-1, 3).T.copy())

    def view(
        self, now_s: float, free_blocks: int, num_blocks: int, limits: tuple[int, int], times: IterationTime
    ) -> View:
        """What a policy sees; `limits` are those of an iteration in tokens and sequences.

        A request that is about to end is shown without the token that is under way, with one to be fed, for which it
        has a block; the budget has a token more for each. Of one that waits, what the prefix cache has is left out.
        """
        count, ending = self.num_rows, self.is_ending
        less = self.num_found + ending
        made = {
            "num_tokens": self.num_tokens - less,
            "num_prompt_tokens": self.table.num_prompt_tokens[:count] - self.num_found,
            "num_cached": self.num_cached - ending,
            "form": np.where(self.num_cached > 0, KV, NONE),
            "num_held": blocks_for(self.num_cached, self.cache.block_size),
            "num_swapped": np.zeros(count, np.int64),
        }

        def column(name: str) -> Any:
            values = made[name] if name in made else getattr(self.table, name)[:count].copy()
            values.setflags(write=False)
            return values

        of_iteration = {"max_tokens": limits[0] + int(ending.sum()), "max_seqs": limits[1], "times": times}
        of_pool = {"free_blocks": free_blocks, "num_blocks": num_blocks, "free_host_blocks": 0, "num_host_blocks": 0}
        return unread_view(column, {"now_s": now_s, "cache": self.cache, **of_pool, **of_iteration})
