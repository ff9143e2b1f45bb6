"""For how long Apt-Serve's decode of all running requests stays as it is while nothing happens."""

from __future__ import annotations

from aptsched.policies.composition import next_blocks
from aptsched.policies.survey import Survey
from aptsched.scheduling.forms import KV
from aptsched.scheduling.plan import ALWAYS, Plan
from aptsched.scheduling.view import View
from aptsched.support.arrays import count_of, smallest_of


def lasting_decode(plan: Plan, view: View, found: Survey, lightest: int, watermark: float, promotes: bool) -> int:
    """`Plan.holds` of a decode: `ALWAYS` where time alone can neither admit a request nor promote one, else 0.

    Who waits becomes more urgent, but no smaller, and free blocks only become fewer: a request that has no room now has
    none later. So it is with promotions, whose blocks beside a request's own are never fewer later but for one, where
    its own form takes one more. All are served in the only form that is open to them then, and the gap is 0 throughout.

    Parameters
    ----------
    plan : Plan
    view : View
    found : Survey
        Of the view.
    lightest : int
        The lightest `CacheForm` that a waiting request may be given.
    watermark : float
        Share of the pool that admission leaves free.
    promotes : bool
        Whether running requests may become KV.
    """
    running, waiting = found.running, found.waiting
    if not len(running) or len(plan.request) < len(running) or len(plan.convert) or found.most_fed > 1:
        return 0
    if len(waiting) and len(running) < min(view.max_seqs, view.max_tokens):
        room = view.free_blocks - int(watermark * view.num_blocks) - found.growth
        least = smallest_of(next_blocks(view, view.num_tokens[waiting], lightest))
        if least <= room:
            return 0
    return 0 if promotes and found.num_others and _may_be_promoted(view, found) else ALWAYS


def _may_be_promoted(view: View, found: Survey) -> bool:
    """Whether any running request in another form than KV may ever find the blocks to become KV, if nothing happens."""
    can_be = view.cache.conversions[:, KV][view.form[found.running]]
    if not count_of(can_be):
        return False
    spare = view.num_blocks - found.num_blocks
    more = next_blocks(view, view.num_tokens[found.running], KV) - found.blocks
    return smallest_of(more[can_be]) - 1 <= spare
