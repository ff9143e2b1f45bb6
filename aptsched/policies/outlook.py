"""What is expected of requests: their slack, the tokens that are left, and what they cost the whole machine."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aptsched.policies.arithmetic_slack import arithmetic_slack
from aptsched.policies.due_times import due_s
from aptsched.policies.output_survival import OutputSurvival
from aptsched.scheduling.forms import KV
from aptsched.scheduling.view import View
from aptsched.support.arrays import count_of
from aptsched.support.checks import Bools, Floats, Ints

LEAST_CHUNK = 256  # tokens of prompts that an iteration takes, however tight deadlines are
LEAST_S = 1e-6  # of an iteration, where it is believed to take no time


@dataclass(frozen=True, eq=False)
class Outlook:
    """All unfinished requests of a view, as far as can be expected, [n] each.

    Attributes
    ----------
    running, away, waiting, new : bool array
        Whether it holds blocks of the pool, blocks on the host, or none, and of the last whether it has no token yet.
    generated : int array
        Output tokens so far.
    slack_s : float array
        From now until its next token is due; below 0 where that is late.
    lead_s : float array
        From the decision to serve it until its next token, alone: its prefill, or its way back from the host.
    paced_s : float array
        The same beside decodes, at so many tokens of its prompt in an iteration as its pace is; at least `lead_s`.
    duration_s : float array
        How long it takes still, decoding in every iteration of a full pool.
    cost_s : float array
        Seconds of the whole machine that it takes still: its mean share of the pool for that long, and its prefill.
    swap_s, recompute_s : float array
        Seconds of the whole machine that a pause takes: copies of its blocks to the host and back, infinity where there
        is none; or to compute its tokens anew, beside decodes as far as these have arithmetic slack.
    iteration_s : float
        Seconds of an iteration of a full pool.
    slack_tokens : float
        The arithmetic slack of the decodes, in tokens of prompts.
    """

    running: Bools
    away: Bools
    waiting: Bools
    new: Bools
    generated: Ints
    slack_s: Floats
    lead_s: Floats
    paced_s: Floats
    duration_s: Floats
    cost_s: Floats
    swap_s: Floats
    recompute_s: Floats
    iteration_s: float
    slack_tokens: float


def outlook(view: View, lengths: OutputSurvival, form: int) -> Outlook:
    """The outlook of the requests of a view, if those without a cache get one of that form."""
    running, away = view.running, view.num_swapped > 0
    waiting = np.logical_not(running | away)
    generated, times = view.num_tokens - view.num_prompt_tokens, view.times
    left = lengths.expected_left(view.num_prompt_tokens, generated)
    iteration_s = full_pool_s(view, form, count_of(running))
    slack_tokens = arithmetic_slack(times, len(running) - count_of(waiting))
    slack_tokens *= slack_tokens >= view.cache.per_block[KV]  # less than a block's takes no prompt far
    per_block = np.array(view.cache.per_block)[np.where(view.form > 0, view.form, form)]
    duration_s = left * iteration_s
    is_prompt = (view.num_remaining > 1) | (view.num_cached == 0)
    alone_s = times.fixed_s + times.prefill_s * is_prompt + times.per_token_s * view.num_remaining
    lead_s = alone_s + times.swap_s_per_block * view.num_swapped
    pace = max(slack_tokens, LEAST_CHUNK) if slack_tokens else np.inf
    return Outlook(
        running=running,
        away=away,
        waiting=waiting,
        new=waiting & (generated == 0),
        generated=generated,
        slack_s=due_s(view, np.arange(len(left))) - view.now_s,
        lead_s=lead_s,
        paced_s=np.maximum(lead_s, np.where(is_prompt, view.num_remaining * (iteration_s / pace), 0.0)),
        duration_s=duration_s,
        cost_s=cost_s(view, view.num_tokens, left, per_block, duration_s)
        + times.per_token_s * (view.num_remaining - 1),
        swap_s=swap_s(view),
        recompute_s=recompute_s(view, per_block, slack_tokens, iteration_s),
        iteration_s=iteration_s,
        slack_tokens=slack_tokens,
    )


def swap_s(view: View) -> Floats:
    """Seconds of the whole machine in which the blocks of each request, [n], go to the host and back.

    Infinity without a host; where nobody knows what copies take, as long as its tokens take to compute.
    """
    if not view.num_host_blocks:
        return np.full(len(view.num_tokens), np.inf)
    if not view.times.swap_s_per_block:
        return view.times.per_token_s * view.num_tokens.astype(np.float64)
    num_blocks = (view.num_held + view.num_swapped).astype(np.float64)
    return 2 * view.times.swap_s_per_block * np.maximum(num_blocks, 1.0)


def recompute_s(view: View, per_block: Ints, slack_tokens: float, iteration_s: float) -> Floats:
    """Seconds of the whole machine that it takes to compute each request anew, [n].

    Within the arithmetic slack of decodes that is no time but that in which its blocks serve no decode: its share of
    the pool, for the iterations that its tokens take.
    """
    num_tokens = view.num_tokens.astype(np.float64)
    multiplied_s = view.times.per_token_s * num_tokens
    if not slack_tokens:
        return multiplied_s
    beside_s = num_tokens * (iteration_s / slack_tokens)
    return np.minimum(multiplied_s, cost_s(view, view.num_tokens, np.zeros(1), per_block, beside_s))


def cost_s(view: View, num_tokens: Ints, left: Floats, per_block: Ints | int, duration_s: Floats) -> Floats:
    """Seconds of the whole machine that requests of so many tokens take in so long, [n], by their share of the pool."""
    share = (num_tokens + left / 2) / (per_block * view.num_blocks)
    return duration_s * np.minimum(share, 1.0)


def arrivals_cost_s(
    view: View, lengths: OutputSurvival, form: int, prompts: Ints, iteration_s: float
) -> tuple[Floats, Floats]:
    """What requests with such prompts, [n], cost from their arrival on, and how long they take, as is expected now."""
    left = lengths.expected_left(prompts, np.zeros_like(prompts))
    duration_s = left * iteration_s
    held_s = cost_s(view, prompts, left, view.cache.per_block[form], duration_s)
    return held_s + view.times.per_token_s * (prompts - 1), duration_s


def full_pool_s(view: View, form: int, num_decodes: int) -> float:
    """Seconds, above 0, that an iteration of so many decodes is believed to take that reads all of a pool in a form."""
    num_context = view.num_blocks * view.cache.per_block[form]
    kv_blocks = [0] * len(view.times.added_s_per_block)
    kv_blocks[form] = view.cache.blocks(num_context, KV)
    return max(LEAST_S, view.times.predict(num_decodes, num_context, kv_blocks, num_decodes))
