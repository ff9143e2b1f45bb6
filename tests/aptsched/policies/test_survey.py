"""The survey of a view: who runs, who waits, and sums over those that run."""

from __future__ import annotations

import numpy as np
from hypothesis import given

from aptsched.policies.form_choice import own_blocks
from aptsched.policies.queue import growth
from aptsched.policies.survey import survey
from aptsched.scheduling.forms import KV
from aptsched.scheduling.view import View
from views import views


@given(view=views())
def test_a_survey_is_what_the_columns_say(view: View) -> None:
    """Row by row in one pass, as numpy has it column by column."""
    found, rows = survey(view), np.flatnonzero(view.num_held > 0)
    assert found.running.tolist() == rows.tolist()
    assert found.waiting.tolist() == np.flatnonzero(view.num_held == 0).tolist()
    assert found.forms(view).tolist() == view.form[rows].tolist()
    assert found.blocks.tolist() == own_blocks(view, rows, view.form[rows]).tolist()
    assert found.num_blocks == found.blocks.sum()
    assert found.growth == growth(view, rows, view.num_remaining[rows]).sum()
    assert found.longest == view.num_tokens.max(initial=0)
    assert (found.num_fed, found.most_fed) == (view.num_remaining[rows].sum(), view.num_remaining[rows].max(initial=0))
    assert (found.num_cached, found.num_others) == (view.num_cached[rows].sum(), (view.form[rows] != KV).sum())
