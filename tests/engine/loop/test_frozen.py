"""What goes from hand to hand in an iteration is frozen."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields
from typing import Any

import pytest

from aptsched.scheduling.plan import Plan
from aptsched.scheduling.view import View
from engine.loop.iteration import Iteration
from engine.state.batch import Batch, Conversion, Copies, Step
from engine.state.pool import Applied


@pytest.mark.parametrize("cls", [View, Plan, Applied, Batch, Conversion, Copies, Step, Iteration])
def test_no_field_can_be_set(cls: type) -> None:
    """Policies, executors and callbacks cannot change what others read."""
    made: Any = object.__new__(cls)
    for field in fields(cls):
        with pytest.raises(FrozenInstanceError):
            setattr(made, field.name, 0)
