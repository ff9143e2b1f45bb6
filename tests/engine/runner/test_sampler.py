"""Next tokens: which may be drawn at any temperature, top_p, top_k and logits, and logits that are not finite."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
import torch
from hypothesis import assume, example, given
from hypothesis import strategies as st

from aptsched.support.errors import InputError
from engine.runner.sampler import sample
from engine.state.request import Request
from engine.state.sampling_params import SamplingParams

LARGEST = sys.float_info.max
logit = st.sampled_from([0.0, 1.0, -1.0, 1e-30, 3e38, -3e38, -math.inf]) | st.floats(-50, 50, width=32)
temperature = st.sampled_from([0.0, 5e-324, 1e-308, 1e-307, 1e-300, 1.0, 1e300, LARGEST]) | st.floats(0, 10)
share = st.sampled_from([5e-324, 1e-308, 1e-16, 0.5, 1.0]) | st.floats(0, 1, exclude_min=True)
most = st.sampled_from([0, 1, 2, 5, 2**31, 2**63, 10**400])
parameters = st.builds(SamplingParams, temperature=temperature, top_p=share, top_k=most, seed=st.integers(0, 2**63 - 1))


def requests(params: list[SamplingParams]) -> list[Request]:
    """One for each, without an output yet."""
    return [Request(number, 0.0, 1, each) for number, each in enumerate(params)]


def drawn(rows: list[list[float]], params: list[SamplingParams], dtype: torch.dtype = torch.float32) -> list[int]:
    """The next token of each row."""
    found: list[int] = sample(torch.tensor(rows, dtype=dtype), requests(params)).tolist()
    return found


def could_be(row: list[float], params: SamplingParams) -> set[int]:
    """Tokens that may be drawn: by exact ranks, and shares of the temperature's distribution with room for rounding."""
    values = np.array(row, np.float32).astype(float)
    if params.temperature == 0:
        return {int(values.argmax())}
    ranked = np.argsort(-values, kind="stable")[: params.top_k or None]
    last = values[ranked[-1]]
    with np.errstate(over="ignore", divide="ignore"):
        weights = np.exp(-np.minimum((values.max() - values[ranked]) / max(params.temperature, 1e-300), 1e4))
    before = (np.cumsum(weights) - weights) / weights.sum()
    least = values[ranked[before < params.top_p + 1e-12]].min()
    return {i for i, value in enumerate(values) if value >= max(least, last) and value > -math.inf}


@given(st.integers(1, 6).flatmap(lambda n: st.lists(logit, min_size=n, max_size=n)), parameters)
@example([1.0, 2.0, -math.inf], SamplingParams(temperature=1e-308))
@example([0.0, 0.0, 0.0], SamplingParams(temperature=5e-324, top_p=5e-324))
def test_what_is_drawn_may_be_drawn(row: list[float], params: SamplingParams) -> None:
    """A token within top_k and top_p, and never one of logit -inf."""
    assume(max(row) > -math.inf)
    assert drawn([row], [params])[0] in could_be(row, params)


@given(
    st.integers(2, 6).flatmap(lambda n: st.lists(st.lists(logit, min_size=n, max_size=n), min_size=2, max_size=5)),
    st.lists(parameters, min_size=5, max_size=5),
)
def test_no_request_takes_another_down(rows: list[list[float]], params: list[SamplingParams]) -> None:
    """Each draws in a batch what it draws alone, whatever the others' parameters are."""
    rows = [row for row in rows if max(row) > -math.inf]
    params = params[: len(rows)]
    assume(rows)
    assert drawn(rows, params) == [drawn([row], [one])[0] for row, one in zip(rows, params, strict=True)]


@pytest.mark.parametrize("value", [1e-308, 5e-324, 1e-300])
def test_a_temperature_near_0_draws_the_likeliest_token(value: float) -> None:
    """Which is its limit; a subnormal temperature divides to no infinity."""
    params = [SamplingParams(temperature=value, seed=3), SamplingParams(temperature=1.0)]
    assert drawn([[1.0, 7.5, -2.0, 7.25], [0.0, 100.0, 0.0, 0.0]], params) == [1, 1]


@pytest.mark.parametrize("dtype", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("temperature", [0.0, 0.8])
def test_logits_that_are_not_finite_are_one_message(dtype: str, value: float, temperature: float) -> None:
    """Greedy too: fp16 that overflows gives no tokens; the dtype is named."""
    kind = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[dtype]
    rows = [[1.0, 2.0, 3.0], [1.0, value, 2.0]]
    with pytest.raises(InputError, match=f"logits: not finite for 1 of 2 requests in {dtype}"):
        drawn(rows, [SamplingParams(temperature=temperature)] * 2, kind)
    with pytest.raises(InputError, match=f"logits: not finite for 1 of 1 requests in {dtype}"):
        drawn([[-math.inf] * 3], [SamplingParams(temperature=temperature)], kind)


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("temperature", [-1e-300, -1.0, math.nan, math.inf, 10**400]),
        ("top_p", [0.0, -0.5, 1.0000001, math.nan, math.inf, 10**400]),
        ("top_k", [-1, 1.5, math.nan, -(10**5000)]),
        ("seed", [-1, 2**63, 10**5000, 0.5]),
        ("max_tokens", [0, -1, 2**32 + 1, 10**5000, 2.0]),
    ],
)
def test_parameters_out_of_range_are_one_message(field: str, values: list[float]) -> None:
    """Which names the field and what is accepted."""
    for value in values:
        with pytest.raises(InputError, match=f"^{field}: .* is not accepted; .* is$"):
            SamplingParams(**{field: value})  # type: ignore[arg-type]
