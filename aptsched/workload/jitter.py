"""Lengths moved by chance, so that a prompt's does not name its output where a trace has few rows, or some often."""

from __future__ import annotations

import numpy as np

from aptsched.support.errors import InputError
from aptsched.workload.trace import Trace


def check_jitter(share: float) -> None:
    """Raises InputError unless it is a share of a length, from 0 to less than 1."""
    if not 0 <= share < 1:
        raise InputError(f"jitter: {share} is not accepted; a share of each length, 0 to less than 1, is")


def jittered(trace: Trace, share: float, rng: np.random.Generator) -> Trace:
    """The trace with each prompt and each output times a factor of its own, uniform from 1 - share to 1 + share.

    Lengths are rounded; prompts are of at least one token, as are outputs that were. The first requests of a longer
    trace are moved as those of a shorter one.
    """
    factor = rng.uniform(1 - share, 1 + share, (len(trace), 2)).T
    prompts, outputs = (np.rint(each).astype(np.int64) for each in factor * (trace.prompt_tokens, trace.output_tokens))
    outputs = np.maximum(outputs, np.minimum(trace.output_tokens, 1))
    moved = Trace(trace.arrived_at_s, np.maximum(prompts, 1), outputs, trace.num_dropped, trace.notices, trace.own)
    return moved.with_notice(f"Lengths are moved by up to {100 * share:g}%, by the seed.")
