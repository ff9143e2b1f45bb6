"""Bytes of numbers: what they change in memory, reads and products, and in which forms tokens may be cached."""

from __future__ import annotations

import dataclasses
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aptsched import InputError
from aptsched.scheduling.forms import CacheForm
from engine.models.known_models import MODELS
from engine.simulator.cost import by_roofline, find_cost
from engine.simulator.gpu_memory import num_blocks
from engine.simulator.gpus import GPUS
from engine.simulator.hidden_cost import absorbed_cost, rebuild_s_per_token
from engine.simulator.precision import BITS_16, NUMBER_BYTES, Precision
from engine.simulator.roofline import roofline, swap_s_per_block
from engine.simulator.work import Work

OPT, LLAMA, A100, H100 = MODELS["opt-13b"], MODELS["llama-3-8b"], GPUS["a100-40gb"], GPUS["h100"]
FP8 = Precision(1, 1)
BYTES = st.sampled_from(NUMBER_BYTES)


def test_what_halves_with_the_bytes() -> None:
    """Reading weights by theirs; reading and swapping a cached token by those of K and V."""
    plain, quantised = (roofline(LLAMA, H100, 1, each) for each in (BITS_16, FP8))
    assert quantised.weights_s == plain.weights_s / 2
    assert quantised.per_context_token_s == plain.per_context_token_s / 2
    assert swap_s_per_block(LLAMA, H100, 1, FP8) == swap_s_per_block(LLAMA, H100) / 2


@pytest.mark.parametrize(
    ("gpu", "weight_bytes", "flops_per_s"),
    [("h100", 1, 1979e12), ("a100-80gb", 1, 312e12), ("h100", 0.5, 989e12), ("h100", 2, 989e12), ("h100", 4, 494.5e12)],
)
def test_the_peak_goes_by_the_type_of_the_weights(gpu: str, weight_bytes: float, flops_per_s: float) -> None:
    """fp8 where the GPU has it; int4 and, elsewhere, 8 bits are multiplied in 16; 32 bits as TF32, at half of that."""
    precision = Precision(weight_bytes, 2)
    assert precision.flops_per_s(GPUS[gpu]) == flops_per_s
    found = roofline(LLAMA, GPUS[gpu], 1, precision)
    flops = 2 * LLAMA.active_matrices
    assert found.per_token_s == pytest.approx(flops / (0.79 * flops_per_s))
    assert found.per_square_s == roofline(LLAMA, GPUS[gpu]).per_square_s


def test_blocks_by_hand() -> None:
    """OPT-13B in 8 bits on A100-40GB: 0.9 of 39.39 GiB less 0.4 GiB and 12.85 GB, in blocks of 16 x 409,600 bytes."""
    left = 0.9 * A100.memory_bytes - 0.4 * 2**30 - OPT.num_params
    assert num_blocks(OPT, A100, 1, FP8) == left // (16 * 409_600) > 2 * num_blocks(OPT, A100)


@given(weights=BYTES, kv=BYTES, narrower=BYTES)
def test_fewer_bytes_leave_no_fewer_blocks(weights: float, kv: float, narrower: float) -> None:
    """Of weights and of K and V alike."""
    few = Precision(min(weights, narrower), min(kv, narrower))
    assert num_blocks(OPT, H100, 1, few) >= num_blocks(OPT, H100, 1, Precision(weights, kv))


@given(weights=BYTES, kv=BYTES, size=st.integers(1, 256), prompt=st.integers(0, 2000))
def test_16_bits_are_no_faster_than_8(weights: float, kv: float, size: int, prompt: int) -> None:
    """Any iteration on a GPU with fp8."""
    work = Work(decode_seqs=size, context_tokens=300 * size, prefill_tokens=prompt, prefill_squares=prompt**2)
    narrow = by_roofline(LLAMA, H100, 1, Precision(min(1, weights), min(1, kv)))
    if weights >= 1:
        assert float(narrow.seconds(work)) <= float(by_roofline(LLAMA, H100).seconds(work))


@pytest.mark.parametrize(
    ("kv_bytes", "hidden", "is_offered"), [(4, "1/2", True), (2, "1/2", True), (1, "1", False), (0.5, "2", False)]
)
def test_hidden_states_keep_16_bits(kv_bytes: float, hidden: str, is_offered: bool) -> None:
    """OPT-13B's are half of K and V of as many bits, and no form at all beside those of 8."""
    cache = OPT.cache(Fraction(kv_bytes))
    assert cache.ratios[CacheForm.HIDDEN] == Fraction(hidden) and cache.offers(CacheForm.HIDDEN) == is_offered


def test_hidden_states_beside_other_bytes() -> None:
    """Against K and V of a byte each is read at twice the share; weights of a byte are read in half of the time."""
    plain, narrow = absorbed_cost(OPT, A100), absorbed_cost(OPT, A100, 1, FP8)
    assert (narrow.read_share, narrow.matrices_s) == (2 * plain.read_share, plain.matrices_s / 2)
    assert narrow.s_per_pair == plain.s_per_pair
    assert rebuild_s_per_token(OPT, H100, 1, FP8) == pytest.approx(rebuild_s_per_token(OPT, H100) * 989 / 1979)


@pytest.mark.parametrize("value", [3, 0, -1, True, "2", float("nan")])
def test_other_numbers_of_bytes_are_refused(value: float) -> None:
    """By the option's name."""
    with pytest.raises(InputError, match=r"kv_bytes: .* is not accepted; 4, 2, 1 or 0\.5 is"):
        Precision(2, value)


def test_fits_are_of_16_bits() -> None:
    """Other bytes are by roofline, also where fits are published, unless fits are asked for by name."""
    assert "roofline of opt-13b on 1 x a100-40gb, weights of 1" in find_cost(None, OPT, A100, precision=FP8).source
    assert find_cost(None, OPT, A100, precision=BITS_16) == find_cost("fits", OPT, A100)
    with pytest.raises(InputError, match="fits are published for weights, K and V of 2 bytes"):
        find_cost("fits", OPT, A100, precision=dataclasses.replace(BITS_16, kv_bytes=1))
