"""What attention over hidden states costs: worked out by hand, and what must hold of any shape."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aptsched import InputError
from aptsched.scheduling.forms import CacheForm, CacheShape
from engine.models.config import ModelConfig
from engine.models.known_models import MODELS
from engine.simulator.believed import believed
from engine.simulator.cost import Cost, by_fits, by_roofline
from engine.simulator.efficiency import Efficiency
from engine.simulator.gpus import GPU, GPUS
from engine.simulator.hidden_cost import (
    AbsorbedCost,
    absorbed_amounts,
    absorbed_cost,
    gather_s,
    rebuild_s_per_token,
    rebuilt_amounts,
)
from engine.simulator.work import Work, work_of
from engine.state.batch import Batch, Conversion
from engine.state.request import Request

OPT, LLAMA, A100 = MODELS["opt-13b"], MODELS["llama-2-7b"], GPUS["a100-40gb"]
PEAK = Efficiency(compute=1.0, bandwidth=1.0, attention=1.0, absorbed=1.0, link=1.0)
AT_PEAK = dataclasses.replace(A100, efficiency=PEAK)
HIDDEN, KV = CacheForm.HIDDEN, CacheForm.KV
# 32 heads that share 16 heads of K and V, whose values are twice as many as a hidden state's: ratio 1/2.
GQA = dataclasses.replace(LLAMA, hidden_size=2048, num_heads=32, num_kv_heads=16, head_dim=128, name="gqa")


def test_bytes_and_flops_of_opt_13b() -> None:
    """A state of 5120 values in 40 layers; 4 * 40 heads * 5120 FLOPs a layer for each pair; 4 * 5120^2 to rebuild."""
    once = absorbed_amounts(OPT, hidden_reads=1)
    assert (once.bytes_per_token, once.flops_per_token) == (409_600, 0)
    assert once.flops_per_pair == 4 * 40 * 5120 * 40 == 32_768_000
    assert absorbed_amounts(OPT).bytes_per_token == OPT.kv_bytes(2) == 819_200
    rebuilt = rebuilt_amounts(OPT)
    assert (rebuilt.bytes_per_token, rebuilt.flops_per_token) == (409_600, 4 * 5120**2 * 40)
    assert rebuilt.flops_per_pair == 4 * 40 * 128 * 40


def test_with_rope_keys_are_rebuilt_and_values_absorbed() -> None:
    """Llama-2-7B, a layer: 2 * 4096^2 FLOPs for K of a token, and a pair 2 * 32 heads * (128 + 4096)."""
    found = absorbed_amounts(LLAMA)
    assert found.flops_per_token == 32 * 2 * 4096**2 == rebuilt_amounts(LLAMA).flops_per_token // 2
    assert found.flops_per_pair == 32 * 2 * 32 * (128 + 4096)


def test_a_model_with_gqa_below_ratio_1() -> None:
    """16 heads of K are rebuilt, and sums are those of all 32 heads; read twice, a state takes what KV takes."""
    found = absorbed_amounts(GQA)
    assert found.flops_per_token == 32 * 2 * 2048 * 16 * 128
    assert found.flops_per_pair == 32 * 2 * 32 * (128 + 2048)
    assert found.bytes_per_token == GQA.kv_bytes(2)


def test_seconds_at_the_peaks_of_an_a100() -> None:
    """OPT-13B: 32.768 MFLOP at 312 TFLOP/s with 40 of 64 rows are 0.168 us, 4.19 GB of matrices 2.70 ms."""
    found = absorbed_cost(OPT, AT_PEAK)
    assert found.s_per_pair == pytest.approx(32.768e6 / 312e12 * 64 / 40)
    assert (found.s_per_token, found.read_share, found.up_to) == (0.0, 1.0, OPT.absorb_up_to)
    assert found.matrices_s == pytest.approx(40 * 2 * 5120**2 * 2 / 1555e9)
    assert found.s_per_new_token == pytest.approx(40 * 4 * 5120**2 / 312e12)
    assert found.link_s == found.link_s_per_pair == found.link_s_per_new_token == 0
    once = absorbed_cost(OPT, dataclasses.replace(A100, efficiency=dataclasses.replace(PEAK, hidden_reads=1)))
    assert dataclasses.replace(once, read_share=1.0) == found and once.read_share == 0.5


def test_more_heads_than_a_tile_has_rows() -> None:
    """OPT-66B has 72: two tiles of 64 rows, of which 72 are used."""
    config = MODELS["opt-66b"]
    assert absorbed_cost(config, AT_PEAK, 4).s_per_pair == pytest.approx(
        absorbed_amounts(config).flops_per_pair / (4 * 312e12) * 128 / 72
    )


@pytest.mark.parametrize(("num_gpus", "sent"), [(2, 1 / 2), (4, 3 / 4)])
def test_sums_over_gpus(num_gpus: int, sent: float) -> None:
    """Of OPT-13B, a layer: fp32 scores of 40 heads there and back; 5120 queries of 2 and 5120 outputs of 4 bytes."""
    found = absorbed_cost(OPT, AT_PEAK, num_gpus)
    assert found.link_s_per_pair == pytest.approx(40 * 2 * sent * 4 * 40 / 300e9)
    assert found.link_s_per_new_token == pytest.approx(40 * sent * 5120 * 6 / 300e9)
    assert found.link_s == pytest.approx(40 * 2 * 30e-6)
    alone = absorbed_cost(OPT, AT_PEAK)
    assert found.s_per_pair == pytest.approx(alone.s_per_pair / num_gpus)
    assert found.read_share == alone.read_share


@pytest.mark.parametrize(("num_gpus", "sent"), [(1, 0), (2, 1 / 2), (4, 3 / 4)])
def test_rebuilding_gathers_hidden_states(num_gpus: int, sent: float) -> None:
    """Each GPU has the others' parts sent, and rebuilds its own heads."""
    rebuild_s = 4 * 5120**2 * 40 / (312e12 * num_gpus) + sent * 409_600 / 300e9
    assert rebuild_s_per_token(OPT, AT_PEAK, num_gpus) == pytest.approx(rebuild_s)
    assert gather_s(OPT, A100, num_gpus) == pytest.approx(40 * 30e-6 if num_gpus > 1 else 0)


def test_partial_scores_of_rebuilt_keys_are_those_of_all_heads() -> None:
    """With RoPE on 2 GPUs, each multiplies queries of all heads with its part of K, so these FLOPs double."""
    assert absorbed_amounts(LLAMA, 2).flops_per_pair == 32 * 2 * 32 * (2 * 128 + 4096)


@pytest.mark.parametrize("make", [by_fits, by_roofline])
def test_a_hidden_token_read_twice_costs_what_a_kv_token_costs(make: Callable[[ModelConfig, GPU], Cost]) -> None:
    """In a decode of OPT-13B in hidden form alone, by fits and by roofline: it reads the same bytes."""
    cost = make(OPT, A100)
    kv = Work(decode_seqs=50, context_tokens=25_000)
    assert float(cost.seconds(absorbed(50, 25_000))) == pytest.approx(float(cost.seconds(kv)))
    times = believed(cost)
    assert times.rho_s_per_block == pytest.approx(0.0, abs=1e-12)
    assert times.rebuild_s_per_block == pytest.approx(16 * 17.0e-6, rel=0.01)


def test_read_once_a_hidden_token_costs_less_and_rho_is_below_0() -> None:
    """Half of KV's bytes: a block of 16 saves 16 * 409,600 bytes."""
    once = Efficiency(hidden_reads=1)
    cost = by_roofline(OPT, dataclasses.replace(A100, efficiency=once))
    saved_s = 16 * 409_600 / (1555e9 * once.bandwidth)
    assert believed(cost).rho_s_per_block == pytest.approx(-saved_s)


def test_with_rope_a_hidden_decode_is_bound_by_flops() -> None:
    """Llama-2-7B takes K's half of rebuilding, and the sums beside it, in place of reading."""
    cost, found = by_roofline(LLAMA, A100), absorbed_cost(LLAMA, A100)
    nothing_cached = float(cost.seconds(absorbed(50, 0)))
    added_s = float(cost.seconds(absorbed(50, 25_000))) - nothing_cached
    assert added_s == pytest.approx(25_000 * (found.s_per_token + found.s_per_pair))
    assert 0.5 < added_s / (25_000 * cost.rebuild_s_per_token) < 0.6


def test_matrices_are_read_again_beside_others() -> None:
    """One decode in KV form beside absorbed ones costs its own time, and K's and V's matrices once more."""
    cost, found = by_roofline(OPT, A100), absorbed_cost(OPT, A100)
    alone = dataclasses.replace(absorbed(50, 25_000), context_tokens=100)
    mixed = dataclasses.replace(alone, decode_seqs=51)
    assert float(cost.seconds(mixed)) - float(cost.seconds(alone)) == pytest.approx(found.matrices_s)
    many = dataclasses.replace(mixed, absorbing_tokens=1000, prefill_tokens=1000)
    fewer = dataclasses.replace(many, absorbing_tokens=0)
    assert float(cost.seconds(many)) - float(cost.seconds(fewer)) == pytest.approx(1000 * found.s_per_new_token)


def test_work_is_split_at_the_switch() -> None:
    """Up to 8 new tokens: a decode and a chunk of 8 are absorbed, one of 9 is rebuilt, a prompt has nothing cached."""
    made = Conversion(Request(9, 0.0, 12), 12, HIDDEN, KV, np.arange(1), np.arange(1))
    batch = hidden_batch([100, 50, 30, 0], [1, 8, 9, 5])
    work = work_of(dataclasses.replace(batch, conversions=[made]), CacheShape(), absorb_up_to=8)
    assert (work.absorbed_tokens, work.absorbed_pairs, work.absorbing_tokens) == (150, 100 + 8 * 50, 9)
    assert (work.context_tokens, work.rebuilt_tokens) == (30, 30 + 12)
    assert work.prefill_squares == 8**2 + (39**2 - 30**2) + 5**2
    always = work_of(dataclasses.replace(batch, conversions=[made]), CacheShape())
    assert (always.context_tokens, always.rebuilt_tokens, always.absorbed_pairs) == (180, 180 + 12, 0)
    assert always.prefill_squares == (58**2 - 50**2) + (39**2 - 30**2) + 5**2


@given(
    start=st.lists(st.integers(1, 500), min_size=1, max_size=6),
    fed=st.integers(1, 40),
    up_to=st.integers(0, 40),
    num_gpus=st.sampled_from([1, 2, 4]),
    config=st.sampled_from([OPT, LLAMA, GQA]),
    more=st.integers(1, 100),
)
def test_more_cached_tokens_take_no_less(
    start: list[int], fed: int, up_to: int, num_gpus: int, config: ModelConfig, more: int
) -> None:
    """Whether they are absorbed or rebuilt, on any number of GPUs."""
    cost = by_roofline(config, A100, num_gpus)
    longer = [start[0] + more, *start[1:]]
    took_s = [float(cost.seconds(work_of(hidden_batch(each, fed), CacheShape(), up_to))) for each in (start, longer)]
    assert took_s[1] >= took_s[0]


def test_rebuilding_is_a_cost_by_name() -> None:
    """Without absorbed attention, or at a price that is given: then K and V are rebuilt for any number of tokens."""
    cost = by_fits(OPT, A100)
    assert cost.absorb_up_to == OPT.absorb_up_to and cost.rebuilding().absorb_up_to == 0
    assert believed(cost.rebuilding()).rho_s_per_block == believed(cost).rebuild_s_per_block
    given_rho = by_fits(OPT, A100, 2).with_rho(1.6)
    assert (given_rho.absorb_up_to, given_rho.rebuild_s_per_token, given_rho.gather_s) == (0, 0.1, 0.0)


def test_bad_shares_and_times() -> None:
    """A number of reads other than 1 or 2, a share beyond 1, a time below 0: each is named."""
    with pytest.raises(InputError, match="hidden_reads: 3 is not accepted; 1 or 2 is"):
        Efficiency(hidden_reads=3)
    with pytest.raises(InputError, match=r"absorbed: 1\.5 is not accepted"):
        Efficiency(absorbed=1.5)
    with pytest.raises(InputError, match="s_per_pair: -1"):
        AbsorbedCost(1, 1.0, 0.0, -1.0)


def absorbed(size: int, num_cached: int) -> Work:
    """A decode of so many requests, all in hidden form."""
    return Work(decode_seqs=size, absorbed_tokens=num_cached, absorbed_pairs=num_cached, absorbing_tokens=size)


def hidden_batch(start: list[int], fed: int | list[int]) -> Batch:
    counts = [fed] * len(start) if isinstance(fed, int) else fed
    requests = [Request(i, 0.0, stop + count) for i, (stop, count) in enumerate(zip(start, counts, strict=True))]
    forms, table = np.full(len(start), int(HIDDEN)), np.zeros((len(start), 1), np.int64)
    return Batch(requests, np.array(start), np.array(counts), forms, table, np.ones(len(start), np.bool_))
