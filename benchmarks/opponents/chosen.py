"""Which policies are searched at which cell."""

from __future__ import annotations

from aptsched.policies.named import CLASSES
from benchmarks.opponents.cell import BURSTS, STEADY, Cell
from benchmarks.opponents.tables import FIRST, shed

OURS, NOBODY_REJECTED = "bid-price", "bid-price:reject=off"
HIDDEN, HIDDEN_NOBODY_REJECTED = "bid-price:forms=hidden", "bid-price:forms=hidden:reject=off"
LIFETIME, APTSERVE, CHARGED = "aptserve:charge=lifetime:forms=kv", "aptserve", "aptserve:charge=lifetime"
PLAIN, SHED = ("sarathi", "vllm-v1"), (shed("sarathi"), shed("vllm-v1"))
BEST = (shed("svf"), shed("qoserve"), shed("slai"), "scorpio")  # of the screen, without ours and oracles
WITH_LEAST_SLACK = "qoserve"  # the best of the screen that rejects nobody
MOST_ON_TIME = "fastserve"  # the best of the screen at 99%
ON_KV = (*PLAIN, WITH_LEAST_SLACK, *SHED, *BEST, MOST_ON_TIME, LIFETIME, shed(LIFETIME), FIRST)
WITH_HIDDEN = (HIDDEN, HIDDEN_NOBODY_REJECTED, APTSERVE, CHARGED)
VARIANTS = ("aptserve:forms=kv", CHARGED)


def screened_policies() -> list[str]:
    """Every policy, plain and within `shed`."""
    every = dict.fromkeys([FIRST, OURS, *CLASSES, *VARIANTS])
    return [name for policy in every for name in (policy, shed(policy))]


def chosen_policies(cell: Cell) -> list[str]:
    """Ours, what it is compared with, and the best of the screen; neither steady nor in bursts the better half."""
    if cell in (*STEADY, *BURSTS):
        return [OURS, NOBODY_REJECTED, *ON_KV, *(WITH_HIDDEN if cell in STEADY else ())]
    return [OURS, NOBODY_REJECTED, *PLAIN, WITH_LEAST_SLACK, *SHED, *BEST[:2], LIFETIME, FIRST]
