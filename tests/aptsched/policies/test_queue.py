"""What policies share along a queue, against a request at a time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aptsched.policies.queue import (
    fed_of,
    growth,
    holds_behind,
    kept_along,
    leading,
    leading_at_least,
    running_and_next,
    shared,
    too_large,
)
from aptsched.scheduling.first_come import FirstCome
from aptsched.scheduling.forms import KV
from aptsched.scheduling.plan import ALWAYS
from aptsched.scheduling.view import View
from aptsched.support.checks import Ints
from views import Seen, view_of, views

AMOUNTS = st.lists(st.integers(0, 9), max_size=12).map(lambda amounts: np.array(amounts, np.int64))
BUDGETS = st.integers(-3, 60)


@given(AMOUNTS, BUDGETS)
def test_a_budget_is_shared_in_order(amounts: Ints, budget: int) -> None:
    """Each gets its amount, or what is left by then: also where the budget is enough for all, or below 0."""
    given_out, left = [], max(0, budget)
    for amount in amounts.tolist():
        given_out.append(min(amount, left))
        left -= given_out[-1]
    assert shared(amounts, budget).tolist() == given_out


@given(AMOUNTS, st.integers(0, 60))
def test_leading_amounts_are_counted_up_to_a_budget(amounts: Ints, budget: int) -> None:
    """So many of the first stay within it that one more does not, and so few are enough that one less is not."""
    within, enough = leading(amounts, budget), leading_at_least(amounts, budget)
    assert amounts[:within].sum() <= budget
    assert within == len(amounts) or amounts[: within + 1].sum() > budget
    assert enough == len(amounts) or amounts[:enough].sum() >= budget
    assert enough == 0 or amounts[: enough - 1].sum() < budget


@given(views(), st.data())
def test_running_and_next_are_who_runs_and_the_first_that_may_run_beside_them(view: View, data: st.DataObject) -> None:
    """Without the rows left out, in order; so many wait as are left of the sequence limit, and no more."""
    everybody = range(len(view.request_id))
    out = sorted(data.draw(st.sets(st.sampled_from(everybody)))) if everybody else []
    runs, waits = running_and_next(view, np.array(out, np.int64))
    assert runs.tolist() == [row for row in everybody if view.num_held[row] > 0 and row not in out]
    most = max(0, view.max_seqs - len(runs))
    assert waits.tolist() == [row for row in everybody if view.num_held[row] == 0 and row not in out][:most]


@given(views())
def test_too_large_is_what_the_whole_pool_cannot_hold(view: View) -> None:
    """As the blocks of each with a KV cache say."""
    blocks = [view.cache.blocks(num_tokens, KV) for num_tokens in view.num_tokens.tolist()]
    assert too_large(view).tolist() == [row for row, count in enumerate(blocks) if count > view.num_blocks]


@pytest.mark.parametrize(("room", "holds"), [(2, ALWAYS), (3, 0)])
def test_a_plan_holds_while_the_first_behind_has_no_room(room: int, holds: int) -> None:
    """Of requests of 40 and 10 tokens, the first in order, of 3 blocks, is admitted with 3 free ones, not with 2."""
    view, rule = view_of([Seen(40), Seen(10)]), FirstCome(64)
    behind = np.array([1, 0])
    assert holds_behind(view, rule, 5, behind, room) == holds
    assert holds_behind(view, rule, 5, behind[:0], 0) == ALWAYS  # nobody waits
    assert holds_behind(view, rule, 0, behind, 0) == 0  # nobody decodes


@pytest.mark.parametrize(
    ("rule", "blocks"), [(FirstCome(37), 2), (FirstCome(37, whole=True), 3), (FirstCome(37, spared_blocks=4), 6)]
)
def test_what_an_admission_needs_is_said_by_the_rule(rule: FirstCome, blocks: int) -> None:
    """Of 40 tokens beside 5 decodes and a budget of 37: the blocks of 32, of all of them, or 4 to be spared as well."""
    view = view_of([Seen(40)])
    assert holds_behind(view, rule, 5, np.array([0]), blocks - 1) == ALWAYS
    assert holds_behind(view, rule, 5, np.array([0]), blocks) == 0


@given(views(), st.integers(0, 30))
def test_the_last_make_room(view: View, free: int) -> None:
    """So many of the first that run are kept as fit into their blocks, those of the rest and the free ones."""
    runs = view.running.nonzero()[0]
    fed = fed_of(view, runs)
    (kept, left), after = kept_along(view, runs, fed, free), view.num_held[runs] + growth(view, runs, fed)
    room = free + view.num_held[runs].sum()
    assert after[:kept].sum() <= room
    assert kept == len(runs) or after[: kept + 1].sum() > room
    assert left == room - after[:kept].sum() >= 0
