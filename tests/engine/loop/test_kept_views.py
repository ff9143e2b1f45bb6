"""A view's columns are made where they are read, and are those of its time whenever that is."""

from __future__ import annotations

import copy
import pickle
from dataclasses import dataclass, field, fields, replace

import numpy as np
import pytest
from hypothesis import given, settings

from aptsched.scheduling.plan import Plan, Policy
from aptsched.scheduling.view import UNREAD, VIEW_COLUMNS, View
from loop_runs import SEEDS, All, make_requests, make_run
from random_policy import RandomPolicy

Columns = dict[str, list[float]]


def columns_of(view: View) -> Columns:
    """All columns of a view, read."""
    return {name: getattr(view, name).tolist() for name in VIEW_COLUMNS}


@dataclass
class Keeping:
    """A policy's plans up to a number of them, then an error; views are kept, and what their columns were is noted."""

    policy: Policy
    most: int = 2**31
    kept: list[View] = field(default_factory=list)
    noted: list[Columns] = field(default_factory=list)

    def decide(self, view: View) -> Plan:
        """The policy's plan; the view's columns are noted without being read."""
        self.kept.append(view)
        self.noted.append({name: vars(view)[UNREAD](name).tolist() for name in VIEW_COLUMNS})
        if len(self.kept) > self.most:
            raise ZeroDivisionError
        return self.policy.decide(view)


@given(SEEDS)
@settings(max_examples=20)
def test_a_view_that_is_kept_has_the_columns_of_its_time(seed: int) -> None:
    """Whatever the plans changed since, and whether anybody had read a column by then."""
    rng = np.random.default_rng(seed)
    policy = Keeping(RandomPolicy(rng, reject_share=0.02, idle_share=0.3))
    run = make_run(policy, make_requests(rng, 10), num_host_blocks=10)
    run.loop.run(run.requests)
    assert len(policy.kept) > 5
    assert [columns_of(view) for view in policy.kept] == policy.noted


def test_a_view_kept_by_a_policy_that_failed_has_the_columns_of_its_time() -> None:
    """All requests have ended since, as the run was broken off."""
    policy = Keeping(All(), most=2)
    run = make_run(policy, make_requests(np.random.default_rng(3), 5))
    with pytest.raises(ZeroDivisionError):
        run.loop.run(run.requests)
    assert len(policy.noted[-1]["num_tokens"]) > 0 == run.worker.num_unfinished
    assert [columns_of(view) for view in policy.kept] == policy.noted


@dataclass
class Copying:
    """Serves all; of each view it keeps what pickle, copy and replace make of it while nothing is read."""

    copies: list[tuple[View, View, View]] = field(default_factory=list)

    def decide(self, view: View) -> Plan:
        """As `All`, on a copy."""
        other = replace(view, now_s=-1.0)
        self.copies.append((pickle.loads(pickle.dumps(view)), copy.deepcopy(view), other))
        return All().decide(self.copies[-1][0])


def test_copies_of_a_view_have_all_that_it_has() -> None:
    """By pickle, copy and replace: whole views without anything of the worker, equal but for what was replaced."""
    policy = Copying()
    run = make_run(policy, make_requests(np.random.default_rng(3), 5))
    assert run.loop.run(run.requests) == ""
    for pickled, copied, other in policy.copies:
        assert columns_of(pickled) == columns_of(copied) == columns_of(other)
        assert pickled.now_s == copied.now_s >= 0 > other.now_s
        names = {each.name for each in fields(View)}
        assert all(names <= set(vars(view)) and UNREAD not in vars(view) for view in (pickled, copied, other))


def test_a_view_has_nothing_but_its_names() -> None:
    """Also before its columns are read."""

    class Asking:
        """Asks for what there is not."""

        def decide(self, view: View) -> Plan:
            """No plan."""
            assert not hasattr(view, "slot") and not hasattr(view, "end_tokens")
            return Plan(np.array([getattr(view, "num_output_tokens")]))  # noqa: B009  # to type checkers it has none

    run = make_run(Asking(), make_requests(np.random.default_rng(3), 1))
    with pytest.raises(AttributeError, match="a view has no 'num_output_tokens'; it has num_cached, form,"):
        run.loop.run(run.requests)
