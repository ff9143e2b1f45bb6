"""Records of requests that ended, for policies that learn from them."""

from __future__ import annotations

from typing import Any

import numpy as np

from aptsched.scheduling.columns import COUNTS, LABELS
from aptsched.scheduling.record import SLO, Outcome, RequestRecord

NO_COUNTS: dict[str, Any] = dict.fromkeys((*LABELS, *COUNTS), 0)


def ended(num_prompt_tokens: int, num_output_tokens: int, outcome: Outcome = Outcome.FINISHED) -> RequestRecord:
    """A request of these lengths, which had its tokens at 1 s."""
    return RequestRecord(0, 0.0, num_prompt_tokens, SLO(), np.ones(num_output_tokens), outcome, **NO_COUNTS)
