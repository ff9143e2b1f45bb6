"""Tokens of prompts that are multiplied while decodes wait for memory, and how many have to be for deadlines."""

from __future__ import annotations

import numpy as np

from aptsched.scheduling.iteration_time import IterationTime
from aptsched.support.checks import Floats, Ints


def arithmetic_slack(times: IterationTime, num_decodes: int) -> float:
    """Tokens of prompts that can be multiplied in the time in which so many decodes read the weights; 0 if not any.

    Decodes wait for memory, and multiplication idles: their arithmetic slack (Agrawal et al., Sarathi-Serve, 2024).
    Where a decode takes no less than a token of a prompt, as on a CPU, it waits for multiplication too, and has none.
    """
    if times.per_decode_s >= 0 or not times.per_token_s:
        return 0.0
    return max(0.0, (times.fixed_s + times.per_decode_s * num_decodes) / times.per_token_s)


def tokens_due(num_tokens: Ints, slack_s: Floats, iteration_s: float) -> float:
    """Tokens that each iteration has to take for so many tokens of each prompt, [n], to be over within its slack, [n].

    By earliest deadline: the most, over deadlines, of what is due by then over the iterations until then.
    """
    order = slack_s.argsort()
    iterations = np.maximum(1.0, np.floor(slack_s[order] / iteration_s))
    return float((num_tokens[order].cumsum() / iterations).max(initial=0.0))
