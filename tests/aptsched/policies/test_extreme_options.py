"""Options and objectives at the ends of what floats can say."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from aptsched.policies.named import CLASSES, MOST_WRAPPERS, class_of, load_policy
from aptsched.scheduling.record import SLO
from aptsched.support.errors import InputError
from simulated import replay_of, simulate

pytestmark = pytest.mark.filterwarnings("error")
FLOATS = [(name, each.name) for name in CLASSES for each in fields(class_of(name)) if isinstance(each.default, float)]  # type: ignore[arg-type]
PRESSED = "andes:period=1:pressure=0"  # where requests compete from the first iteration on
REPLAY = replay_of([(40, 6), (1, 9), (33, 1), (60, 12)] * 3, [0.01 * i for i in range(12)])


def served(name: str, tpot_s: float) -> int:
    """How many requests have a record, if their objectives are such and the pool holds about three of them."""
    replay = replace(REPLAY, slo=SLO(1.0, tpot_s))
    return len(simulate(name, replay, num_blocks=12, num_host_blocks=12).records)


@pytest.mark.parametrize(("name", "option"), [*FLOATS, (PRESSED, "horizon_s")])
def test_an_extreme_option_is_refused_by_name_or_serves_all(name: str, option: str) -> None:
    """The least and the largest floats, and what lies between: no warning, and a record for each request."""
    of = name.partition(":")[0] if name == PRESSED else name
    for value in (0.0, 5e-324, 1e-308, 1e-9, 1e9, 1e308, np.inf, np.nan):
        num_served, refused = 0, ""
        try:
            num_served = served(f"{name}:{option}={value}", 0.1)
        except InputError as error:
            refused = str(error)
        assert num_served == len(REPLAY) or refused.startswith(f"policy {of}: {option}: {value} is not accepted; ")


@pytest.mark.parametrize("name", [*CLASSES, PRESSED, "shed(fcfs)", "fitted(shed(qoserve))"])
def test_extreme_objectives_serve_all(name: str) -> None:
    """Tokens that are due at once, or in thirty years: no warning, and a record for each request."""
    for tpot_s in (5e-324, 1e-300, 1e-9, 1e9):
        assert served(name, tpot_s) == len(REPLAY)


def test_policies_around_another_are_counted() -> None:
    """Up to 16 are accepted, and of more there is one message."""
    around = "shed(" * MOST_WRAPPERS + "fcfs" + ")" * MOST_WRAPPERS
    load_policy(around)
    with pytest.raises(InputError, match=r"^policy: 'shed\(fcfs\)' is not accepted within 16 others; up to 16 are$"):
        load_policy(f"fitted({around})")
