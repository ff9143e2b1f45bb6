"""What swaps take on a computed clock: by hand, and that coarse groups, overlap and kept copies never cost more."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aptsched import InputError
from aptsched.scheduling.forms import KV
from engine.loop.limits import Limits
from engine.models.known_models import MODELS
from engine.simulator.computed_executor import ComputedExecutor
from engine.simulator.gpus import GPUS
from engine.simulator.swap_times import BlockSwaps, Copied, CopyTime, GroupedSwaps, num_groups
from engine.state.batch import NO_COPIES, Batch, Copies
from engine.state.request import Request
from engine.study.replay import Replay
from engine.study.simulation import Setup, simulated_server
from simulated import replay_of, replays, simulate

TIME = CopyTime(s_per_block=1e-3, launch_s=1e-4)
FIRST, SECOND, THIRD = (Request(number, 0.0, 10) for number in range(3))
NOBODY: Sequence[tuple[Request, list[int]]] = ()


def copies_of(swaps: Sequence[tuple[Request, list[int]]], to_host: bool) -> Copies:
    """The copies of requests whose blocks of the pool are given; where they lie on the host changes nothing."""
    if not swaps:
        return NO_COPIES
    blocks = np.concatenate([np.array(blocks) for _, blocks in swaps])
    on_host = np.arange(len(blocks))
    requests, counts = [request for request, _ in swaps], np.array([len(blocks) for _, blocks in swaps])
    source, target = (blocks, on_host) if to_host else (on_host, blocks)
    return Copies(source, target, requests, counts)


def batch_of(
    entries: Sequence[tuple[Request, list[int]]] = NOBODY,
    out: Sequence[tuple[Request, list[int]]] = NOBODY,
    back: Sequence[tuple[Request, list[int]]] = NOBODY,
    start: int = 8,
) -> Batch:
    """A batch of decodes that hold these blocks, as many each, after requests went to the host and came back."""
    ones = np.ones(len(entries), np.int64)
    table = np.array([blocks for _, blocks in entries], np.int64) if entries else np.empty((0, 0), np.int64)
    return Batch(
        requests=[request for request, _ in entries],
        start=start * ones,
        num_tokens=ones,
        form=KV * ones,
        block_table=table,
        samples=ones > 0,
        swap_out=copies_of(out, True),
        swap_in=copies_of(back, False),
    )


@dataclass
class Kept:
    """Keeps the batches of a run, and takes nothing for swaps."""

    batches: list[Batch] = field(default_factory=list)

    def seconds(self, batch: Batch, compute_s: float) -> float:
        """What is computed."""
        self.batches.append(batch)
        return compute_s


def test_groups_are_the_powers_of_two_of_a_number() -> None:
    """13 blocks lie in groups of 8, 4 and 1; 150 in two of 64, then 16, 4 and 2; 7 of up to 3 in three of 2 and one."""
    assert [num_groups(count) for count in (0, 1, 13, 64, 150)] == [0, 1, 3, 1, 5]
    assert num_groups(7, 3) == 4


@given(count=st.integers(0, 5000), most=st.integers(1, 300))
def test_groups_are_never_more_than_blocks(count: int, most: int) -> None:
    """And never fewer than the largest ones that hold them."""
    assert -(-count // most) <= num_groups(count, most) <= count


def test_blocks_are_copied_one_by_one_before_anything_is_computed() -> None:
    """3 blocks out and 2 back: 5 ms for their bytes, 0.5 ms to launch 5 copies, then 20 ms of computing."""
    batch = batch_of([(THIRD, [9])], [(FIRST, [0, 1, 2])], [(SECOND, [4, 5])])
    assert BlockSwaps(TIME).seconds(batch, 0.020) == pytest.approx(0.0255)


def test_copies_that_nobody_waits_for_go_on_beside_the_computing() -> None:
    """3 blocks in two groups take 3.2 ms: within 20 ms they cost nothing; of 1 ms of computing 2.2 more are left."""
    batch = batch_of([(THIRD, [9])], [(FIRST, [0, 1, 2])])
    for compute_s, lasts_s in ((0.020, 0.020), (0.001, 0.0032)):
        assert GroupedSwaps(TIME, 100).seconds(batch, compute_s) == pytest.approx(lasts_s)


def test_the_batch_waits_for_who_runs_in_it_and_for_blocks_that_it_uses() -> None:
    """One comes back to run, 2.1 ms for 2 blocks in a group; another's block 7 is used, 1.1 ms; a third's is not."""
    batch = batch_of([(FIRST, [4, 5]), (Request(8, 0.0, 10), [7, 8])], [(SECOND, [7]), (THIRD, [6])], [(FIRST, [4, 5])])
    assert GroupedSwaps(TIME, 100).copied(batch) == [Copied(1, 1, True), Copied(1, 1, False), Copied(2, 1, True)]
    assert GroupedSwaps(TIME, 100).seconds(batch, 0.020) == pytest.approx(0.0021 + 0.0011 + 0.020)


def test_only_what_came_since_moves_again() -> None:
    """8 blocks go out in one group and come back; as 10 they go out again: the last of the 8, and the 2 that came."""
    swaps = GroupedSwaps(TIME, 100)
    eight, ten = list(range(8)), list(range(10))
    there = [swaps.copied(batch_of(out=[(FIRST, eight)])), swaps.copied(batch_of(back=[(FIRST, eight)]))]
    assert there == [[Copied(8, 1, False)], [Copied(8, 1, False)]]
    assert swaps.copied(batch_of(out=[(FIRST, ten)])) == [Copied(3, 2, False)]
    assert swaps.copied(batch_of(back=[(FIRST, ten)])) == [Copied(10, 2, False)]
    assert swaps.copied(batch_of(out=[(FIRST, ten)])) == [Copied(1, 1, False)]


def test_copies_are_kept_as_long_as_the_host_has_room() -> None:
    """Of 12 blocks 7 are kept for who came back. Who leaves with 5 fits beside them; with 6 they are gone."""
    for count, again in ((5, 1), (6, 8)):
        swaps = GroupedSwaps(TIME, 12)
        for batch in (batch_of(out=[(FIRST, list(range(8)))]), batch_of(back=[(FIRST, list(range(8)))])):
            swaps.seconds(batch, 0.0)
        swaps.seconds(batch_of(out=[(SECOND, list(range(20, 20 + count)))]), 0.0)
        assert swaps.copied(batch_of(out=[(FIRST, list(range(8)))]))[0].num_blocks == again


def test_the_oldest_copy_goes_first() -> None:
    """Two are kept, of 7 blocks each; 16 blocks on the host have room for one of them beside 9 more."""
    swaps, first, second = GroupedSwaps(TIME, 16), list(range(8)), list(range(8, 16))
    swaps.seconds(batch_of(out=[(FIRST, first), (SECOND, second)]), 0.0)
    swaps.seconds(batch_of(back=[(FIRST, first), (SECOND, second)]), 0.0)
    swaps.seconds(batch_of(out=[(THIRD, list(range(20, 29)))]), 0.0)
    found = [swaps.copied(batch_of(out=[each]))[0].num_blocks for each in ((SECOND, second), (FIRST, first))]
    assert found == [1, 8]


def test_a_cache_that_is_computed_anew_has_no_copy() -> None:
    """Preempted and fed from its first token on, it moves whole."""
    swaps, eight = GroupedSwaps(TIME, 100), list(range(8))
    swaps.seconds(batch_of(out=[(FIRST, eight)]), 0.0)
    swaps.seconds(batch_of(back=[(FIRST, eight)]), 0.0)
    swaps.seconds(batch_of([(FIRST, eight)], start=0), 0.0)
    assert swaps.copied(batch_of(out=[(FIRST, eight)])) == [Copied(8, 1, False)]


@settings(max_examples=30, deadline=None)
@given(
    replay=replays(12),
    name=st.sampled_from(["fastserve", "priority:frequency=0.5", "priority:redrawn=markov:frequency=1:ahead"]),
    num_host_blocks=st.sampled_from([0, 6, 60]),
    compute_s=st.floats(0.0, 0.05),
)
def test_grouped_swaps_never_take_longer(replay: Replay, name: str, num_host_blocks: int, compute_s: float) -> None:
    """Of each batch of a run: no iteration lasts longer, no more blocks move, and all that come back do, in whole."""
    kept, limits = Kept(), Limits(128, 4, 200)
    served = simulate(name, replay, 12, limits, num_host_blocks=num_host_blocks, swap_time=kept)
    grouped, plain = GroupedSwaps(TIME, num_host_blocks), BlockSwaps(TIME)
    other = dataclasses.replace(grouped, _away={}, _kept={})
    for batch in kept.batches:
        lasts_s = grouped.seconds(batch, compute_s)
        assert compute_s <= lasts_s <= plain.seconds(batch, compute_s) + 1e-12
        copied = other.copied(batch)
        num_out = len(batch.swap_out.requests)
        assert sum(each.num_blocks for each in copied[num_out:]) == len(batch.swap_in.source)
        assert sum(each.num_blocks for each in copied[:num_out]) <= len(batch.swap_out.source)
    assert sum(len(batch.swap_in.requests) for batch in kept.batches) == sum(i.num_swap_ins for i in served.iterations)


def test_a_run_that_swaps_ends_sooner_with_coarse_groups() -> None:
    """Forty requests over a pool for six: the same requests, done in less time than with single blocks."""
    replay = replay_of([(60, 40)] * 40, [i / 40 for i in range(40)])
    ends = {}
    for name, swap_time in (("blocks", BlockSwaps(TIME)), ("grouped", GroupedSwaps(TIME, 400))):
        served = simulate("priority:frequency=0.5:ahead", replay, 40, num_host_blocks=400, swap_time=swap_time)
        assert [len(record.token_at_s) for record in served.records] == [40] * 40
        assert sum(record.num_swap_outs for record in served.records) > 40
        ends[name] = served.iterations[-1].end_s
    assert ends["grouped"] < 0.9 * ends["blocks"]


def test_a_setup_says_how_swaps_are_made() -> None:
    """K and V of OPT-13B's 40 layers are 80 copies of 6 us for each piece; each run has an executor of its own."""
    model, gpu = MODELS["opt-13b"], GPUS["a100-40gb"]
    assert simulated_server(Setup(model, gpu), Limits()).executor_of_run is None
    for swap, kind in (("blocks", BlockSwaps), ("grouped", GroupedSwaps)):
        server = simulated_server(Setup(model, gpu, swap=swap), Limits())
        assert server.executor_of_run is not None
        first, second = server.executor_of_run(), server.executor_of_run()
        assert isinstance(first, ComputedExecutor) and isinstance(first.swap_time, kind) and first is not second
        assert first.swap_time.copy_time.launch_s == pytest.approx(480e-6)


def test_times_that_are_none_are_refused() -> None:
    """A message names the field and its value."""
    with pytest.raises(InputError, match="launch_s: -1"):
        CopyTime(0.0, -1.0)
