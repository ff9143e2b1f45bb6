"""Our own policy over whole runs: who waits for room gets it, and who is rejected hears it in time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aptsched.scheduling.record import SLO, Outcome
from aptsched.workload.own_columns import OwnColumns
from engine.loop.clock import SchedulingTime
from engine.loop.limits import Limits
from engine.simulator.cost import Cost
from engine.simulator.roofline import Roofline
from simulated import replay_of, simulate

# The times believed of it are above the true ones, up to 1,024 tokens of prompts and 64 decodes.
BOUNDED = Cost(Roofline(0.02, 1e-3, 0.0, 1e-5), 0.0, 1e-3, "for tests")
NONE_BESIDE = SchedulingTime(0.0, 0.0)


@pytest.mark.parametrize("num_host_blocks", [0, 60])
def test_whoever_finds_no_room_waits_for_it(num_host_blocks: int) -> None:
    """Of nine that come at once a pool holds three: the others follow as these end, whatever the price."""
    replay = replay_of([(40, 8)] * 9, slo=SLO(4.0, 0.2))
    served = simulate(
        "bid-price:strength=1e5",
        replay,
        9,
        Limits(300, 16, 300),
        cost=BOUNDED,
        scheduling=NONE_BESIDE,
        num_host_blocks=num_host_blocks,
    )
    assert [record.outcome for record in served.records] == [Outcome.FINISHED] * 9
    assert max(record.token_at_s[0] for record in served.records) <= 4.0
    assert not sum(record.num_preemptions for record in served.records)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), num_blocks=st.integers(4, 40), num_host_blocks=st.sampled_from([0, 40]))
def test_who_is_rejected_hears_it_within_its_ttft(data: st.DataObject, num_blocks: int, num_host_blocks: int) -> None:
    """Where iterations take no longer than believed, and but for whom it could not be told at the first decision."""
    count = data.draw(st.integers(1, 25))

    def column(values: st.SearchStrategy[float]) -> list[float]:
        return data.draw(st.lists(values, min_size=count, max_size=count))

    lengths = [
        (int(prompt), int(output))
        for prompt, output in zip(column(st.integers(1, 60)), column(st.integers(1, 40)), strict=True)
    ]
    own = OwnColumns(slo_ttft_s=np.array(column(st.sampled_from([0.1, 0.3, 1.0]))))
    replay = replace(replay_of(lengths, sorted(column(st.sampled_from([0.0, 0.1, 0.15, 0.5])))), own=own)
    limits = Limits(300, 16, 300)
    options = {"cost": BOUNDED, "scheduling": NONE_BESIDE, "num_host_blocks": num_host_blocks}
    seen = simulate("bid-price", replay, num_blocks, limits, **options).seen
    known: set[int] = set()
    for view, plan in zip(seen.views, seen.plans, strict=True):
        for row in plan.reject.tolist():
            is_known = view.request_id[row].item() in known
            assert not is_known or view.now_s <= view.arrived_at_s[row] + view.slo_ttft_s[row] + 1e-9
        known.update(view.request_id.tolist())
