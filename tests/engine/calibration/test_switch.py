"""Up to how many new tokens attention over hidden states is faster absorbed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aptsched.scheduling.forms import CacheForm, CacheShape
from engine.calibration.switch import CACHED, CHUNKS, chunk_sizes, crossing, measured_switch, num_blocks
from engine.state.batch import Batch, Step


class Takes:
    """Takes a time for each chunk and for each pair of a cached token and a new one."""

    def __init__(self, fixed_s: float, pair_s: float) -> None:
        self.fixed_s, self.pair_s, self.batches = fixed_s, pair_s, list[Batch]()

    def run(self, batch: Batch) -> Step:
        self.batches.append(batch)
        return Step(self.fixed_s + self.pair_s * int((batch.start * batch.num_tokens).sum()), np.zeros(1, np.int64))


def test_the_switch_is_where_both_take_as_long() -> None:
    """Absorbing costs 3 us a pair, rebuilding 1 us and 102.4 ms: with 512 cached they meet at 100 new tokens."""
    sizes, cache = chunk_sizes(64, 2048), CacheShape()
    assert sizes == [16, 32, 64, 128]
    absorbing, rebuilding = Takes(0.0, 3e-6), Takes(2e-6 * 512 * 100, 1e-6)
    assert measured_switch(absorbing, rebuilding, sizes, 2048, cache) == 100
    held = {len(batch.block_table[0]) for batch in absorbing.batches}
    assert max(held) == num_blocks(sizes, 2048, cache) == cache.blocks(CACHED + 128, CacheForm.HIDDEN)
    fed = [int(batch.num_tokens[0]) for batch in rebuilding.batches]
    assert set(fed) == set(sizes) and fed == [int(batch.num_tokens[0]) for batch in absorbing.batches]


@given(
    fixed_s=st.floats(1e-4, 1.0),
    slower_s=st.floats(1e-6, 1e-2),
    base_s=st.floats(1e-3, 1.0),
    sizes=st.sets(st.integers(1, 500), min_size=2, max_size=5),
)
def test_lines_cross_where_they_cross(fixed_s: float, slower_s: float, base_s: float, sizes: set[int]) -> None:
    """At what rebuilding costs over what absorbing costs more a token, within 1 and the largest chunk."""
    rising = sorted(sizes)
    seconds = np.array([[base_s + slower_s * size, base_s + fixed_s] for size in rising])
    expected = min(max(1.0, fixed_s / slower_s), rising[-1])
    assert crossing(rising, seconds) == pytest.approx(expected, rel=1e-6, abs=0.51)


@pytest.mark.parametrize(("absorbed_s", "expected"), [(0.5, 40), (1.5, 1)])
def test_where_neither_gains_on_the_other(absorbed_s: float, expected: int) -> None:
    """All chunks that were measured are absorbed, or only decodes."""
    assert crossing([10, 40], np.array([[absorbed_s, 1.0]] * 2)) == expected
    assert crossing([40], np.array([[absorbed_s, 1.0]])) == expected


@given(max_positions=st.integers(1, 4096), data=st.data())
def test_chunks_fit_the_context(max_positions: int, data: st.DataObject) -> None:
    """With what is cached, and rise; there is one, as no shape has a number beyond the context."""
    sizes = chunk_sizes(data.draw(st.integers(1, max_positions)), max_positions)
    assert sizes and sizes == sorted(set(sizes)) and len(sizes) <= len(CHUNKS)
    assert all(1 <= size <= max_positions - min(CACHED, max_positions // 2) for size in sizes)
