"""What the value of a request is charged for its form of cache: once, as in Apt-Serve, or for its expected life."""

from __future__ import annotations

import numpy as np

from aptsched.scheduling.forms import FORM_ENTRIES, KV, NUM_FORMS, Charge, entry_of
from aptsched.scheduling.iteration_time import IterationTime
from aptsched.scheduling.view import View
from aptsched.support.checks import Bools, Floats, Ints

CHARGES = ("paper", "lifetime")
DEARER = 1e-6  # least share of the value that a form is charged: none may be worth as much as KV


def charged_once(view: View, value_s: Floats, blocks: Ints, offered: Bools) -> Floats:
    """What each form adds to one iteration for all U unfinished requests, [f, r]; with hidden states that is U rho m.

    A form is charged only where the request could have KV instead: KV is offered too, and the pool could hold the
    request with a KV cache.

    Parameters
    ----------
    value_s : float array, [r]
        Values without charges.
    blocks : int array, [f, r]
        Blocks of each request in each form, from KV on; those of KV are its m.
    offered : bool array, [f, r]
        Whether a form is offered to a request.
    """
    kv_blocks = blocks[0]
    choice = offered[0] & (kv_blocks <= view.num_blocks)
    charges_s = np.zeros(blocks.shape)
    for row in range(1, len(blocks)):
        penalty_s = len(view.request_id) * view.times.added_s_per_block[row + 1] * kv_blocks
        charges_s[row] = np.where(choice & offered[row], np.maximum(penalty_s, DEARER * value_s), 0.0)
    return charges_s


def charged_for_life(view: View, own: Ints, expected_left: float, blocks: Ints, offered: Bools) -> Floats:
    """What each form costs all U unfinished requests for as long as the request is expected to stay in it, [f, r].

    A request that waits is charged for what a form adds to an iteration beyond the form that adds least, of those that
    it is offered and the pool could hold. A running one, which has paid for its own form when it was admitted, is
    charged for what another one adds beyond that, and for being converted: if it saves time the charge is below 0.

    Parameters
    ----------
    own : int array, [r]
        Forms of the requests; NONE where they wait.
    expected_left : float
        Iterations that a request is expected to stay for.
    blocks, offered : as in `charged_once`
    """
    added_s = np.array(view.times.added_s_per_block)
    open_to = offered & (blocks <= view.num_blocks)
    each_s = expected_left * added_s[1 : len(blocks) + 1, None]  # [f, 1]
    least_s = np.where(open_to, each_s, np.inf).min(axis=0)
    base_s = np.where(own > 0, expected_left * added_s[own], least_s)
    turned_s = turned_s_per_block(view.times)[own, 1 : len(blocks) + 1].T
    return np.where(open_to, len(view.request_id) * (each_s - base_s + turned_s) * blocks[0], 0.0)


def turned_s_per_block(times: IterationTime) -> Floats:
    """Seconds that a conversion in place takes once for each block m, [f, f]; those that rebuild nothing count as 0."""
    turned_s = np.zeros((NUM_FORMS, NUM_FORMS))
    for entry in FORM_ENTRIES:
        for target, charge in entry.becomes.items():
            turned_s[entry.form, target] = times.rebuild_s_per_block if charge is Charge.REBUILD else 0.0
    return turned_s


def worthwhile(forms: tuple[int, ...], view: View) -> tuple[int, ...]:
    """The forms, the lightest last, without those that serve no more tokens a second out of a full pool than a lighter.

    In a full pool of M blocks each block bears 1/M of the fixed time F of an iteration. A request of m blocks of KV in
    a form of ratio r takes r m of them, and adds a m seconds: an iteration costs it m (a + r F / M), beside what is the
    same in all forms. So a form that adds no time makes all heavier ones needless, and one that adds some does so as
    long as requests that share an iteration save more. A lossy form makes no other one needless but lossy ones.
    """
    kept: list[int] = []
    fixed_s, least_s, least_exact_s = view.times.fixed_s / view.num_blocks, np.inf, np.inf
    for form in reversed(forms):
        each_s = view.times.added_s_per_block[form] + fixed_s * view.cache.per_block[KV] / view.cache.per_block[form]
        is_lossy = entry_of(form).is_lossy
        if each_s < (least_s if is_lossy else least_exact_s):
            kept.append(form)
            least_s, least_exact_s = min(least_s, each_s), least_exact_s if is_lossy else each_s
    return tuple(reversed(kept))
