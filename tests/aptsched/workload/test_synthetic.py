"""Built-in workloads against the statistics that they are fitted to."""

from __future__ import annotations

import re
from collections.abc import MutableMapping

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aptsched.support.errors import InputError
from aptsched.workload import WORKLOADS, generate
from aptsched.workload.lengths import LEVELS, LengthModel
from traces import arrivals

PUBLISHED = {  # mean, p50, p90, p99 of prompt and output; shortest and longest request
    "sharegpt": ((163, 60, 457, 1218), (471, 470, 865, 1002)),
    "humaneval": ((171, 146, 278, 489), (98, 79, 194, 413)),
    "longbench": ((1217, 1285, 1718, 1802), (248, 251, 335, 402)),
    "azure-code": ((2048, 1469, 5188, 7436), (28, 13, 55, 251)),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_generated_lengths_have_the_published_statistics(name: str) -> None:
    """Mean, median, p90 and p99 of 100,000 requests are within 4% (or one token) of the published ones."""
    trace = generate(name, 100_000, np.random.default_rng(1))
    for tokens, published in zip((trace.prompt_tokens, trace.output_tokens), PUBLISHED[name], strict=True):
        drawn = [tokens.mean(), *np.quantile(tokens, [0.5, 0.9, 0.99])]
        for got, wanted in zip(drawn, published, strict=True):
            assert got == pytest.approx(wanted, rel=0.04, abs=1)


def test_every_workload_is_in_the_table() -> None:
    """The four built-in workloads are those of the published table, and nothing can be added."""
    assert list(WORKLOADS) == list(PUBLISHED)
    assert not isinstance(WORKLOADS, MutableMapping)


@pytest.mark.parametrize("name", PUBLISHED)
def test_lengths_stay_within_the_limits_of_the_source(name: str) -> None:
    """No request is shorter or longer than the source's, one by one and in total."""
    workload = WORKLOADS[name]
    trace = generate(name, 50_000, np.random.default_rng(2))
    for tokens, model in ((trace.prompt_tokens, workload.prompt), (trace.output_tokens, workload.output)):
        assert tokens.min() >= model.shortest and tokens.max() <= model.longest
    if workload.max_total_tokens is not None:
        assert (trace.prompt_tokens + trace.output_tokens).max() <= workload.max_total_tokens


def test_azure_code_arrives_in_bursts_by_default() -> None:
    """azure-code has 2.57 arrivals a second with CV 13.2, in whole microseconds."""
    trace = generate("azure-code", 300_000, np.random.default_rng(5))
    gaps = np.diff(arrivals(trace))
    assert 1 / gaps.mean() == pytest.approx(2.57, rel=0.1)
    assert gaps.std() / gaps.mean() == pytest.approx(13.2, rel=0.15)
    assert np.array_equal(arrivals(trace), arrivals(trace).round(6))


def test_rate_and_cv_can_be_changed() -> None:
    """Given rate and CV replace the defaults; the lengths stay the same."""
    even = generate("azure-code", 10, np.random.default_rng(0), rate_per_s=4.0, cv=0.0)
    assert arrivals(even).tolist() == [0.25 * i for i in range(1, 11)]
    assert np.array_equal(even.prompt_tokens, generate("azure-code", 10, np.random.default_rng(0)).prompt_tokens)


def test_the_same_seed_gives_the_same_trace() -> None:
    """A trace depends on the generator that is passed and on nothing else."""
    one, two = (generate("sharegpt", 50, np.random.default_rng(9)) for _ in range(2))
    assert np.array_equal(arrivals(one), arrivals(two))
    assert np.array_equal(one.output_tokens, two.output_tokens)


@given(  # between quantiles that are nearly equal no power bends the function much, and few means can be had
    st.lists(st.integers(1, 10_000), min_size=5, max_size=5).map(sorted).filter(lambda k: 1.2 * k[0] <= k[1]),
    st.floats(0.1, 0.9),
)
def test_any_quantiles_and_mean_are_fitted(knots: list[int], share: float) -> None:
    """The quantile function is monotone, goes through the given quantiles, and has the given mean."""
    shortest, p50, p90, p99, longest = knots
    linear = 0.25 * (shortest + p50) + 0.2 * (p50 + p90) + 0.045 * (p90 + p99) + 0.005 * (p99 + longest)
    least = 0.5 * shortest + 0.4 * p50 + 0.09 * p90 + 0.01 * p99
    mean = linear - 0.1 * share * (linear - least)
    model = LengthModel(mean, p50, p90, p99, shortest, longest)
    assert model.quantile(LEVELS) == pytest.approx(model.knots)
    levels = np.linspace(0, 1, 20_001)
    quantiles = model.quantile(levels)
    assert (np.diff(quantiles) >= -1e-9 * longest).all()
    assert np.trapezoid(quantiles, levels) == pytest.approx(mean, rel=1e-3)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((50, 60, 40, 80, 1, 90), "quantiles: [1.0, 60.0, 40.0, 80.0, 90.0] are not accepted; at least 1 and not"),
        ((50, 60, 70, 80, 0, 90), "quantiles: [0.0, 60.0, 70.0, 80.0, 90.0] are not accepted; at least 1 and not"),
        ((90, 60, 70, 80, 1, 90), "mean: 90 is not accepted; from"),
    ],
)
def test_bad_length_models(values: tuple[int, ...], message: str) -> None:
    """Quantiles that decrease and a mean that they cannot have are refused."""
    with pytest.raises(InputError, match=f"^{re.escape(message)}"):
        LengthModel(*values)


@pytest.mark.parametrize("name", ["shareGPT", "", None])
def test_an_unknown_workload_lists_what_there_is(name: str) -> None:
    """An unknown name is refused with those that are known."""
    message = f"workload: {name!r} is not known; sharegpt, humaneval, longbench, azure-code are accepted"
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        generate(name, 5, np.random.default_rng(0))


def test_outputs_that_are_cut_are_said() -> None:
    """Of a source that has a limit, and only where one meets it; no request passes it."""
    cut, whole, free = (
        generate(name, n, np.random.default_rng(0))
        for name, n in (("sharegpt", 5000), ("sharegpt", 1), ("humaneval", 5000))
    )
    assert (cut.prompt_tokens + cut.output_tokens).max() == 2048
    assert cut.notices == ("sharegpt: outputs end where prompt and output come to 2048 tokens, as in its source.",)
    assert whole.notices == free.notices == ()
