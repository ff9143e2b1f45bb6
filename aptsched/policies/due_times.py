"""When tokens are due, and until when what they need has to begin."""

from __future__ import annotations

from aptsched.scheduling.view import View
from aptsched.support.checks import Floats, Ints


def due_s(view: View, rows: Ints) -> Floats:
    """When the next token of each request is due, [r]: token i, from 1, at arrival + TTFT + (i - 1) TPOT."""
    num_output = view.num_tokens[rows] - view.num_prompt_tokens[rows]
    due: Floats = view.arrived_at_s[rows] + view.slo_ttft_s[rows] + num_output * view.slo_tpot_s[rows]
    return due


def latest_start_s(view: View, rows: Ints) -> Floats:
    """When each request has to be fed at the latest for its next token to be in time, [r].

    It is fed alone, in as few iterations as its tokens take, by the times that the view has.
    """
    num_tokens, times = view.num_remaining[rows], view.times
    num_iterations = -(-num_tokens // view.max_tokens)
    alone_s = (times.fixed_s + times.prefill_s) * num_iterations + times.per_token_s * num_tokens
    return due_s(view, rows) - alone_s
