"""Shortest job first, by an oracle."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aptsched.policies.fcfs import FCFS
from aptsched.policies.oracle import TrueLengths
from aptsched.policies.reordered import decide_in_order
from aptsched.scheduling.plan import Plan, says_holds
from aptsched.scheduling.view import View


@dataclass(frozen=True)
class SJF:
    """FCFS on the requests sorted by remaining output tokens, fewest first: an oracle, for no server knows them.

    The longest are preempted when blocks run out; no request is preempted for a shorter one that waits.

    Parameters
    ----------
    oracle : TrueLengths
        The true lengths; this field marks a policy that sees more than a server can know.

    Notes
    -----
    Source: shortest remaining processing time first (Schrage, 1968), with output tokens for the processing time; among
    equals, first come, first served.
    """

    oracle: TrueLengths

    @says_holds
    def decide(self, view: View) -> Plan:
        """The plan of the next iteration."""
        remaining = self.oracle.of(view.request_id) - (view.num_tokens - view.num_prompt_tokens)
        return decide_in_order(FCFS(), view, np.argsort(remaining, kind="stable"))
