"""What a contract promises: memory up to the caps of outputs, and iterations short enough for every deadline."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aptsched.policies.due_times import due_s
from aptsched.policies.future_peak import future_peak
from aptsched.scheduling.forms import KV
from aptsched.scheduling.view import View
from aptsched.support.checks import Bools, Floats, Ints

LARGEST_CHUNK, NUM_CHUNKS = 2048, 6  # sizes of chunks among which one is chosen, each half of the one before


@dataclass(frozen=True)
class Terms:
    """The terms on which requests are served: one token of each in every iteration, and a chunk of prompts beside.

    The chunk is handed out in the order of the rows, which is that of deadlines. A request may end at any time up to
    its cap, and an iteration may take any time up to the bound. Whatever comes of that, deadlines and memory hold for
    everybody where `slack_s` is not below 0: THEOREMS.md, (10).

    Parameters
    ----------
    margin : float
        Share by which an iteration may take longer than predicted.
    beside_s : float
        Seconds that it may take beside that, as for scheduling.
    """

    margin: float
    beside_s: float

    def slack_s(self, view: View, rows: Ints, chunk: int) -> float:
        """The least time by which any deadline of these requests is kept, whatever comes.

        Below 0 where a deadline may be missed, and -inf where otherwise blocks or the token budget may be short. Of a
        request that is late already, as can be where the times are no bound, only the TPOT counts.

        Parameters
        ----------
        view : View
        rows : int array, [n]
            At least one, by rising `due_s`.
        chunk : int
            Tokens of prompts in an iteration, beside one of each request.
        """
        slack_s = self._until_deadlines_s(view, rows, chunk)
        return slack_s if slack_s < 0 or _fits(view, rows, chunk) else -np.inf

    def can_promise(self, view: View, rows: Ints) -> bool:
        """Whether `slack_s` is not below 0 with some size of chunk.

        It is enough to look at the memory of the largest that is in time: with smaller ones requests last no shorter.
        """
        sizes = [chunk for chunk in chunk_sizes(view) if len(rows) + chunk <= view.max_tokens]
        in_time = (chunk for chunk in sizes if self._until_deadlines_s(view, rows, chunk) >= 0)
        largest = next(in_time, None)
        return largest is not None and _fits(view, rows, largest)

    def _until_deadlines_s(self, view: View, rows: Ints, chunk: int) -> float:
        """The least time by which a deadline is kept, if blocks and token budget are enough."""
        left, rounds, lasts = _horizon_of(view, rows, chunk)
        step_s = self._bounded_s(view, chunk, _longest_s(view, view.num_tokens[rows], lasts, left > 0))
        return float(self._slack_of_each_s(view, rows, rounds, step_s).min())

    def slack_alone_s(self, view: View, rows: Ints, chunk: int) -> Floats:
        """The same of each request without a cache if it were the only one, [k]."""
        num_tokens, prompts = view.num_tokens[rows], np.ones(len(rows), np.bool_)
        rounds, lasts = _horizon(view, rows, num_tokens, prompts, chunk)
        read_s = view.times.per_context_token_s * (num_tokens + (lasts - 1))
        step_s = self._bounded_s(view, chunk, _own_s(view, prompts) + read_s)
        fits = view.cache.blocks(num_tokens + lasts - 1, KV) <= view.num_blocks
        return np.where(
            fits & (1 + chunk <= view.max_tokens), self._slack_of_each_s(view, rows, rounds, step_s), -np.inf
        )

    def _bounded_s(self, view: View, chunk: int, of_requests_s: Floats | float) -> Floats:
        """Seconds that an iteration takes at most, of which so many are for one token of each request."""
        times = view.times
        without_s = times.fixed_s + max(0.0, times.prefill_s) + times.per_token_s * chunk
        return np.asarray((1 + self.margin) * (without_s + of_requests_s) + self.beside_s)

    def _slack_of_each_s(self, view: View, rows: Ints, rounds: Ints, step_s: Floats) -> Floats:
        left_s = due_s(view, rows) - view.now_s
        until_next_s = np.where(left_s < 0, np.inf, left_s - rounds * step_s)
        return np.minimum(until_next_s, view.slo_tpot_s[rows] - step_s)


def chunk_sizes(view: View) -> list[int]:
    """Sizes of chunks that come into question, the largest first: the same in every iteration of one token budget."""
    largest = min(LARGEST_CHUNK, view.max_tokens // 2)
    return sorted({max(1, largest >> i) for i in range(NUM_CHUNKS)}, reverse=True)


def prompt_left(view: View, rows: Ints) -> Ints:
    """Tokens that each request has to be fed before it decodes, [n]; 0 if it does."""
    remaining = view.num_remaining[rows]
    left: Ints = np.where(view.running[rows] & (remaining == 1), 0, remaining)
    return left


def _horizon(view: View, rows: Ints, ahead: Ints, is_prompt: Bools, chunk: int) -> tuple[Ints, Ints]:
    """Iterations within which the next token comes, and within which the request ends, [n] each.

    `ahead` are the tokens of prompts that are fed until then, its own among them.
    """
    rounds = np.where(is_prompt, -(-ahead // chunk), 1)
    lasts: Ints = np.where(is_prompt, rounds, 0) + np.maximum(view.cap_tokens[rows] - view.num_tokens[rows], 1)
    return rounds, lasts


def _horizon_of(view: View, rows: Ints, chunk: int) -> tuple[Ints, Ints, Ints]:
    """The tokens of prompts left, and `_horizon`, of requests that are fed in this order, [n] each."""
    left = prompt_left(view, rows)
    return left, *_horizon(view, rows, np.cumsum(left), left > 0, chunk)


def _fits(view: View, rows: Ints, chunk: int) -> bool:
    """Whether the token budget is enough for each iteration, and the pool, up to the caps."""
    if len(rows) + chunk > view.max_tokens:
        return False
    _, _, lasts = _horizon_of(view, rows, chunk)
    return future_peak(view.cache, view.num_tokens[rows], lasts, np.maximum(view.form[rows], KV)) <= view.num_blocks


def _own_s(view: View, is_prompt: Bools) -> Floats:
    """Seconds for one token of each request, [n], without the tokens that it reads."""
    decode_s = view.times.per_token_s + view.times.per_decode_s
    own_s: Floats = np.where(is_prompt, max(view.times.per_token_s, decode_s), decode_s)
    return own_s


def _longest_s(view: View, num_tokens: Ints, lasts: Ints, is_prompt: Bools) -> float:
    """Seconds that one token of each request takes at most in any iteration to come.

    In iteration t, from 1, a request that is there reads up to num_tokens + t - 1; the sum is largest where one ends.
    """
    order = np.argsort(-lasts, kind="stable")
    read = np.cumsum(num_tokens[order]) + np.arange(1, len(order) + 1) * (lasts[order] - 1)
    each_s = np.cumsum(_own_s(view, is_prompt)[order])
    return float((each_s + view.times.per_context_token_s * read).max())
