"""The two scans of SCORPIO's queue: until when each request may begin, and how many keep the pace of decodes."""

from __future__ import annotations

import numpy as np

from aptsched.support.checks import Floats, Ints
from aptsched.support.compiled import compiled, row_by_row


@compiled
def latest_starts(
    due_s: Floats, num_tokens: Ints, base_s: float, per_token_s: float, now_s: float, latest_s: Floats
) -> None:
    """Writes until when each of a queue, [n], may begin, behind those before it that may begin now: `latest_s`.

    Parameters
    ----------
    due_s, num_tokens : array, [n]
        When the first token of each is due, the earliest first, and the tokens that it has to be fed for that.
    base_s, per_token_s : float
        Seconds of an iteration with prompts, and of each of their tokens.
    """
    total = 0
    for i in range(len(due_s)):
        latest_s[i] = due_s[i] - base_s - per_token_s * (total + num_tokens[i])
        if latest_s[i] >= now_s:
            total += num_tokens[i]


@compiled
def num_in_pace(
    tpot_s: Floats,
    num_prompt_tokens: Ints,
    num_running: int,
    fixed_s: float,
    per_decode_s: float,
    per_context_token_s: float,
    half_output: float,
    allowed: float,
) -> int:
    """How many of a queue can be admitted until an iteration of all takes more than a share of the tightest TPOT.

    An iteration takes as long as one of as many decodes as there are on average, where a request decodes in
    (tightest TPOT) / (its own) of the iterations, each with the mean prompt and half an output in its context.

    Parameters
    ----------
    tpot_s, num_prompt_tokens : array, [n]
        Of those that run, and then of those that wait, in order.
    num_running : int
        How many of them run; these are not asked for. Where nobody runs, the first is admitted.
    allowed : float
        That share.
    """
    least_s, per_s, tokens = tpot_s[0], 0.0, 0
    for i in range(len(tpot_s)):
        least_s, per_s, tokens = min(least_s, tpot_s[i]), per_s + 1 / tpot_s[i], tokens + num_prompt_tokens[i]
        context = tokens / (i + 1) + half_output
        batch_s = fixed_s + least_s * per_s * (per_decode_s + per_context_token_s * context)
        if i >= num_running and i > 0 and batch_s >= allowed * least_s:
            return i - num_running
    return len(tpot_s) - num_running


def get_ready() -> None:
    """Has both compiled, or loaded from disk, before a decision waits for them."""
    seconds, tokens = row_by_row(np.ones(1)), row_by_row(np.ones(1, np.int64))
    latest_starts(seconds, tokens, 0.0, 0.0, 0.0, np.empty(1))
    num_in_pace(seconds, tokens, 1, 0.0, 0.0, 0.0, 0.0, 0.0)
