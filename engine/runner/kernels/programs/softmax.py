"""A softmax whose scores come step by step."""

import triton
import triton.language as tl

LOWEST = tl.constexpr(-1e38)  # the largest score before the first: below any score, and finite


@triton.jit
def step_of_softmax(scores, largest):
    """Shares of new scores, the factor by which all before shrink, and the largest score of each row so far.

    scores [rows, columns], largest [rows]; a score of -inf has no share.
    """
    now = tl.maximum(largest, tl.max(scores, 1))
    return tl.exp(scores - now[:, None]), tl.exp(largest - now), now
