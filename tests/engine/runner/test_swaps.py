"""Blocks that go to the host and come back: gathered, and one copy for blocks of the host that lie together."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from engine.calibration.timing import idle
from engine.runner.device import swaps as swaps_module
from engine.runner.device.swaps import Swaps
from engine.state.batch import Batch, Copies
from tape_launches import TapeLaunches

BLOCKS = 12


class Gathered(Swaps):
    """As where device and host are apart."""

    def __init__(self, launches: TapeLaunches) -> None:
        blocks, host = torch.rand(3, BLOCKS, 5), torch.zeros(BLOCKS, 3, 5)
        super().__init__(blocks, host, torch.from_numpy, launches)
        self._is_gathered = True


def batch(out: Copies, back: Copies) -> Batch:
    """An iteration of copies alone."""
    return dataclasses.replace(idle(), swap_out=out, swap_in=back)


@given(st.permutations(range(BLOCKS)), st.permutations(range(BLOCKS)), st.permutations(range(BLOCKS)), st.booleans())
def test_blocks_come_back_as_they_went(ours: list[int], host: list[int], back: list[int], is_gathered: bool) -> None:
    """To any blocks of the host, and from there to any others, though their own are overwritten in between."""
    swaps = Gathered(TapeLaunches())
    swaps._is_gathered = is_gathered
    before = swaps.blocks.clone()
    for call in swaps.of(batch(Copies(np.array(ours), np.array(host)), idle().swap_in)):
        call()
    swaps.blocks.fill_(-1.0)
    for call in swaps.of(batch(idle().swap_out, Copies(np.array(host), np.array(back)))):
        call()
    assert torch.equal(swaps.blocks[:, back], before[:, ours])


def test_copies_run_beside_the_rest_and_are_joined_before_they_are_read() -> None:
    """Two runs of blocks of the host: two copies out, which nobody waits for, and two back, which what follows does."""
    launches = TapeLaunches()
    swaps = Gathered(launches)
    copies = Copies(np.arange(5), np.array([4, 9, 5, 8, 3]))
    calls = list(swaps.of(batch(copies, Copies(copies.target, copies.source))))
    assert not launches.order
    for call in calls:
        call()
    assert launches.order == ["beside"] * 2 + ["beside", "join"] * 2


def test_a_copy_takes_no_more_memory_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    """Longer runs are copied in parts."""
    monkeypatch.setattr(swaps_module, "GATHERED_BYTES", 2 * 3 * 5 * 4)  # two blocks
    swaps = Gathered(TapeLaunches())
    copies = Copies(np.arange(5), np.arange(5))
    assert len(list(swaps.of(batch(copies, idle().swap_in)))) == 3
