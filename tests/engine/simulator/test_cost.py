"""The cost of an iteration: published figures, first principles, and what must hold of any cost."""

from __future__ import annotations

import dataclasses
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from aptsched import InputError
from aptsched.scheduling.forms import CacheForm, CacheShape
from aptsched.scheduling.iteration_time import IterationTime
from caches import by_form, cache_of
from engine.calibration.measure import Calibration
from engine.calibration.points import Point
from engine.models.known_models import MODELS
from engine.simulator.believed import believed
from engine.simulator.computed_executor import ComputedExecutor
from engine.simulator.cost import Cost, by_fits, by_profile, by_roofline, find_cost
from engine.simulator.efficiency import Efficiency
from engine.simulator.fits import DISTSERVE
from engine.simulator.gpus import GPUS
from engine.simulator.hidden_cost import rebuilt_amounts
from engine.simulator.roofline import roofline
from engine.simulator.work import Work, work_of
from engine.state.batch import Batch, Conversion, Copies
from engine.state.request import Request

OPT, A100 = MODELS["opt-13b"], GPUS["a100-40gb"]
AT_PEAK = dataclasses.replace(A100, efficiency=Efficiency(compute=1.0, bandwidth=1.0, attention=1.0))
MIXED = by_roofline(MODELS["qwen3-30b-a3b"], GPUS["h100"])  # a mixture of experts
COSTS = (by_fits(OPT, A100), by_roofline(OPT, A100), by_roofline(MODELS["opt-30b"], A100, 2), MIXED)
COUNTS = st.integers(0, 200)


def drawn(absorbing: int, cached: int, **amounts: int) -> Work:
    """Work of which so many tokens attend to cached hidden states, absorbed, each to all of them."""
    absorbed = (cached, absorbing * cached, absorbing) if absorbing else (0, 0, 0)
    names = ("absorbed_tokens", "absorbed_pairs", "absorbing_tokens")
    return Work(**dict(zip(names, absorbed, strict=True)), **amounts)


WORKS = st.builds(
    drawn,
    absorbing=st.integers(0, 50),
    cached=st.integers(1, 10**4),
    prefill_tokens=COUNTS,
    prefill_squares=st.integers(0, 10**6),
    context_tokens=st.integers(0, 10**5),
    decode_seqs=COUNTS,
    rebuilt_tokens=COUNTS,
    dequantised_tokens=COUNTS,
    swapped_blocks=COUNTS,
)


@pytest.mark.parametrize(
    ("work", "milliseconds"),
    [
        (Work(prefill_tokens=1000, prefill_squares=10**6), 18.10 + 101.91 + 7.12),
        (Work(prefill_tokens=1000, prefill_squares=5 * 10**5), 18.10 + 101.91 + 3.56),
        (Work(decode_seqs=50, context_tokens=20_000), 19.93 + 12.54 + 1.925),
        (Work(decode_seqs=94, context_tokens=0), 19.93 + 0.0385 * 94),
        (Work(decode_seqs=95, context_tokens=10_000), 19.93 + 6.27 + 0.0385 * 95),
        (Work(decode_seqs=200, context_tokens=10_000), 7.17 + 5.80 + 0.1583 * 200),
        (Work(prefill_tokens=163, prefill_squares=163**2, decode_seqs=36, context_tokens=10_800), 34.900501),
        (Work(prefill_tokens=163, decode_seqs=36, context_tokens=36_000), 19.93 + 22.572 + 0.0385 * 36),
        (Work(), 0.0),
    ],
)
def test_distserve(work: Work, milliseconds: float) -> None:
    """Iterations of OPT-13B worked out by hand from the published coefficients."""
    assert 1e3 * float(DISTSERVE["opt-13b", 1].seconds(work)) == pytest.approx(milliseconds)


@pytest.mark.parametrize(
    ("name", "num_gpus", "stream_ms", "token_us", "rebuild_us"),
    [("opt-13b", 1, 16.5, 80.7, 13.4), ("opt-30b", 2, 19.3, 94.9, 15.8), ("opt-66b", 4, 21.1, 104.5, 17.4)],
)
def test_first_principles(name: str, num_gpus: int, stream_ms: float, token_us: float, rebuild_us: float) -> None:
    """Reading the weights, multiplying a token, rebuilding K and V of one, at the peaks of A100-40GB."""
    found = roofline(MODELS[name], AT_PEAK, num_gpus)
    assert 1e3 * found.weights_s == pytest.approx(stream_ms, rel=0.01)
    assert 1e6 * found.per_token_s == pytest.approx(token_us, rel=0.01)
    rebuild_flops = rebuilt_amounts(MODELS[name]).flops_per_token
    assert 1e6 * rebuild_flops / (num_gpus * A100.flops_per_s) == pytest.approx(rebuild_us, rel=0.01)


def test_the_roofline_is_near_the_fits() -> None:
    """Of OPT-13B on the GPU on which they were measured: slopes of prefill and decode within 3%."""
    fit, found = DISTSERVE["opt-13b", 1], roofline(OPT, GPUS["a100-80gb"])
    assert found.per_token_s == pytest.approx(fit.prefill.first_s, rel=0.03)
    assert found.weights_s == pytest.approx(fit.decode.fixed_s, rel=0.03)
    assert found.per_context_token_s == pytest.approx(fit.decode.first_s, rel=0.03)


def test_hidden_tokens_dominate_a_decode() -> None:
    """50 requests of 500 tokens in hidden form add about 425 ms to a decode of OPT-13B."""
    cost = by_fits(OPT, A100)
    plain = Work(decode_seqs=50, context_tokens=25_000)
    extra_s = float(cost.seconds(dataclasses.replace(plain, rebuilt_tokens=25_000))) - float(cost.seconds(plain))
    assert extra_s == pytest.approx(0.425, rel=0.01)


@settings(max_examples=60)
@given(works=st.lists(WORKS, min_size=1, max_size=5), cost=st.sampled_from(COSTS))
def test_arrays_cost_what_their_entries_cost(works: list[Work], cost: Cost) -> None:
    """The seconds of an array of iterations are those of each, to the last bit."""
    columns = {name: np.array([getattr(work, name) for work in works]) for name in vars(works[0])}
    assert np.asarray(cost.seconds(Work(**columns))).tolist() == [float(cost.seconds(work)) for work in works]


@settings(max_examples=60)
@given(work=WORKS, cost=st.sampled_from(COSTS[1:]), name=st.sampled_from(sorted(vars(Work()))), more=st.integers(1, 50))
def test_more_work_takes_no_less(work: Work, cost: Cost, name: str, more: int) -> None:
    """A roofline never falls when one amount grows; but all attention may become absorbed, and spare K and V."""
    assume(name != "absorbing_tokens")
    grown = dataclasses.replace(work, **{name: getattr(work, name) + more})
    assert float(cost.seconds(grown)) >= float(cost.seconds(work))


@settings(max_examples=60)
@given(work=WORKS, cost=st.sampled_from(COSTS))
def test_a_mixed_iteration_takes_at_least_either_part(work: Work, cost: Cost) -> None:
    """Prefill beside decodes takes no less than the decodes alone, and no less than the prefill alone."""
    decodes = dataclasses.replace(work, prefill_tokens=0, prefill_squares=0)
    prefill = dataclasses.replace(work, decode_seqs=0, context_tokens=0)
    assert float(cost.seconds(work)) >= max(float(cost.seconds(part)) for part in (decodes, prefill)) * (1 - 1e-12)


@given(cuts=st.lists(st.integers(1, 40), min_size=1, max_size=8))
def test_chunks_add_up_to_the_prompt(cuts: list[int]) -> None:
    """Tokens and squares of a prompt's chunks are those of the whole prompt."""
    stops = np.cumsum(cuts)
    works = [work_of(_batch([int(stop) - cut], [cut]), CacheShape()) for stop, cut in zip(stops, cuts, strict=True)]
    prompt = int(stops[-1])
    ones = sum(int(work.decode_seqs) for work in works)  # chunks of one token count as decodes
    assert sum(int(work.prefill_tokens) for work in works) + ones == prompt
    if not ones:
        assert sum(int(work.prefill_squares) for work in works) == prompt**2


def test_work_of_a_mixed_batch() -> None:
    """Two decodes, one of them hidden, a chunk after 30 tokens, and a promotion of 12."""
    made = Conversion(Request(9, 0.0, 12), 12, CacheForm.HIDDEN, CacheForm.KV, np.arange(1), np.arange(1))
    batch = _batch([100, 50, 30], [1, 1, 20], [CacheForm.KV, CacheForm.HIDDEN, CacheForm.KV])
    work = work_of(dataclasses.replace(batch, conversions=[made]), CacheShape())
    assert work.prefill_tokens == 20 and work.prefill_squares == 50**2 - 30**2
    assert (work.context_tokens, work.decode_seqs) == (180, 2)
    assert work.rebuilt_tokens == 50 + 12


def test_int8_is_read_by_its_bytes_and_dequantised() -> None:
    """At half of KV's bytes 50 cached tokens are 25 that are read; 12 that are converted are read once more, as KV."""
    made = Conversion(Request(9, 0.0, 12), 12, CacheForm.KV, CacheForm.INT8, np.arange(1), np.arange(1))
    batch = _batch([100, 50], [1, 1], [CacheForm.KV, CacheForm.INT8])
    work = work_of(dataclasses.replace(batch, conversions=[made]), cache_of(int8=Fraction(1, 2)))
    assert (work.context_tokens, work.rebuilt_tokens, work.dequantised_tokens) == (100 + 25 + 12, 0, 50)
    cost = dataclasses.replace(COSTS[0], dequantise_s_per_token=1e-3)
    assert float(cost.seconds(work)) - float(COSTS[0].seconds(work)) == pytest.approx(0.05)


def test_the_executor_gives_time_and_no_tokens() -> None:
    """Entries that sample get token 0, others -1."""
    batch = dataclasses.replace(_batch([0, 7], [5, 1]), samples=np.array([False, True]))
    step = ComputedExecutor(COSTS[0], CacheShape()).run(batch)
    assert step.token_ids.tolist() == [-1, 0]
    assert step.duration_s == float(COSTS[0].seconds(work_of(batch, CacheShape())))


def test_each_block_swapped_takes_its_time() -> None:
    """In either direction, on top of all else; and where nothing runs beside it."""
    batch = _batch([0, 40], [30, 1])
    three, two = (Copies(np.arange(count), np.arange(count)) for count in (3, 2))
    for work in (batch, _batch([], [])):
        swapping = dataclasses.replace(work, swap_out=three, swap_in=two)
        took_s, plain_s = (ComputedExecutor(COSTS[0], CacheShape()).run(each).duration_s for each in (swapping, work))
        assert took_s - plain_s == pytest.approx(5 * COSTS[0].swap_s_per_block) and COSTS[0].swap_s_per_block > 0


def test_a_profile_recovers_what_made_it() -> None:
    """A calibration of times that are lines in what is done gives these lines back."""
    prefills = [Point(n, 0, by_form(), 2e-3 + 1e-4 * n + 3e-8 * n**2) for n in (16, 64, 128, 512)]
    decodes = [
        Point(n, n * c, by_form(), 5e-3 + 1e-6 * n * c + 4e-4 * n) for n, c in ((1, 64), (4, 128), (8, 256), (16, 128))
    ]
    hidden = [Point(n, n * c, by_form(hidden=n * c // 16 + n), 0.1, 2e-5 * n * c) for n, c in ((1, 64), (4, 128))]
    cost = by_profile(
        Calibration("m", "cpu", "fp32", IterationTime(), 1.0, (*prefills, *decodes, *hidden), 7e-4), CacheShape()
    )
    assert cost.rebuild_s_per_token == pytest.approx(2e-5)
    assert cost.swap_s_per_block == 7e-4
    for points, kind in ((prefills, "prefill"), (decodes, "decode")):
        for point in points:
            work = (
                Work(prefill_tokens=point.num_tokens, prefill_squares=point.num_tokens**2)
                if kind == "prefill"
                else Work(decode_seqs=point.num_tokens, context_tokens=point.num_context_tokens)
            )
            assert float(cost.seconds(work)) == pytest.approx(point.seconds, rel=1e-6)


def test_a_profile_of_absorbed_attention_has_what_it_took() -> None:
    """A hidden token costs 1 us read as KV and 3 us more, for each new one; a block converted 0.8 ms, as measured."""
    prefills = [Point(n, 0, by_form(), 2e-3 + 1e-4 * n) for n in (16, 64, 128)]
    decodes = [Point(n, n * c, by_form(), 5e-3 + 1e-6 * n * c + 4e-4 * n) for n, c in ((1, 64), (4, 128), (8, 256))]
    hidden = [Point(n, n * c, by_form(hidden=n * c // 16 + n), 0.1, 3e-6 * n * c) for n, c in ((1, 64), (4, 128))]
    times, points = IterationTime(rebuild_s_per_block=8e-4), (*prefills, *decodes, *hidden)
    cost = by_profile(Calibration("m", "cpu", "fp32", times, 1.0, points, absorb_up_to=60), CacheShape())
    assert (cost.absorb_up_to, cost.rebuild_s_per_token) == (60, 5e-5)
    assert believed(cost).rho_s_per_block == pytest.approx(16 * 3e-6)
    decode, chunk = (
        Work(absorbed_tokens=100, absorbed_pairs=100 * n, absorbing_tokens=n, decode_seqs=1) for n in (1, 5)
    )
    bare_s = float(cost.seconds(Work(decode_seqs=1)))
    assert float(cost.seconds(decode)) - bare_s == pytest.approx(100 * 4e-6)
    assert float(cost.seconds(chunk)) - bare_s == pytest.approx(500 * 4e-6)


def test_believed_and_executed_rho_are_apart() -> None:
    """What is believed of a block changes no execution, and the other way round."""
    cost = by_fits(OPT, A100).rebuilding()
    assert believed(cost).rho_s_per_block == pytest.approx(16 * 17.0e-6, rel=0.01)
    assert believed(cost, 0.5).rho_s_per_block == 0.5
    assert cost.with_rho(1.6).rebuild_s_per_token == pytest.approx(0.1)


def test_believed_times_are_those_of_typical_iterations() -> None:
    """A lone decode without context, and a prefill of 1,024 tokens, as they take."""
    cost = by_fits(OPT, A100)
    times = believed(cost)
    assert times.predict(1, num_decodes=1) == pytest.approx(float(cost.seconds(Work(decode_seqs=1))))
    assert times.predict(1024) == pytest.approx(float(cost.seconds(Work(prefill_tokens=1024, prefill_squares=1024**2))))


def test_costs_by_name() -> None:
    """Fits where they are published for such sizes; OPT-30B by roofline, marked so; other names list all."""
    assert "DistServe" in find_cost(None, OPT, A100).source
    assert find_cost(None, dataclasses.replace(OPT, name="mine"), A100) == find_cost(None, OPT, A100)
    assert "roofline" in find_cost(None, dataclasses.replace(OPT, vocab_size=7), A100).source
    assert "roofline" in find_cost("fits", MODELS["opt-30b"], A100, 2).source
    assert "roofline" in find_cost(None, OPT, GPUS["h100"]).source
    with pytest.raises(InputError, match="no fits are published for opt-13b on 1 x h100"):
        find_cost("fits", OPT, GPUS["h100"])
    with pytest.raises(InputError, match="fits, roofline or a file"):
        find_cost("guess", OPT, A100)


@pytest.mark.parametrize("rho", [-1.0, float("nan"), float("inf")])
def test_bad_rho(rho: float) -> None:
    """A time below 0, or none, is named."""
    with pytest.raises(InputError, match="executed_rho"):
        COSTS[0].with_rho(rho)


def _batch(start: list[int], fed: list[int], form: list[CacheForm] | None = None) -> Batch:
    requests = [Request(i, 0.0, stop + count) for i, (stop, count) in enumerate(zip(start, fed, strict=True))]
    forms = np.array([int(each) for each in form or [CacheForm.KV] * len(start)])
    table = np.zeros((len(start), 1), np.int64)
    return Batch(requests, np.array(start), np.array(fed), forms, table, np.ones(len(start), np.bool_))
