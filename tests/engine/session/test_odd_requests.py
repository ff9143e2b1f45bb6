"""Whatever a request, its parameters or an engine are given as: one message, and others are served on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np
import pytest

from aptsched import SLO, InputError
from engine import Engine, SamplingParams
from live import exact_model, in_time
from odd_values import check_refused_or_taken


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(exact_model(), num_blocks=40)


@pytest.mark.parametrize("name", [each.name for each in fields(SamplingParams)])
def test_no_parameter_ends_the_session(engine: Engine, name: str) -> None:
    """What is taken is served, what is not is refused before it is in a batch; a request beside it has its text."""

    def call(value: Any) -> None:
        params = SamplingParams(**{"max_tokens": 2, name: value})
        if params.max_tokens < 100:
            in_time(lambda: engine.generate(["b", "a"], params))

    beside = engine.session.add("to be served", SamplingParams(max_tokens=20, ignore_eos=True))
    check_refused_or_taken(call)
    assert len(in_time(beside.result).token_ids) == 20


CALLS: dict[str, Callable[[Engine, Any], object]] = {
    "prompt": lambda engine, value: engine.generate([value]),
    "prompts": lambda engine, value: engine.generate(value),
    "params": lambda engine, value: engine.generate(["a"], value),
    "slo": lambda engine, value: engine.session.add("a", slo=value).result(),
    "ttft_s": lambda engine, value: engine.session.add("a", slo=SLO(value)).result(),
    "abort": lambda engine, value: engine.session.abort(value),
    "result": lambda engine, value: engine.session.result(value, 60),
}


@pytest.mark.parametrize("name", CALLS)
def test_any_value_of_a_call(engine: Engine, name: str) -> None:
    """It is taken, or refused by one message."""
    check_refused_or_taken(lambda value: in_time(lambda: CALLS[name](engine, value)))
    assert len(in_time(lambda: engine.generate(["a"])[0].token_ids)) > 0


@pytest.mark.parametrize(
    "name", ["num_blocks", "num_host_blocks", "max_tokens", "max_seqs", "max_iteration_s", "cache_mem"]
)
def test_any_value_of_an_engine(name: str) -> None:
    """It is taken, or refused by one message."""
    blocks: dict[str, Any] = {} if name in ("num_blocks", "cache_mem") else {"num_blocks": 4}
    model = exact_model()
    check_refused_or_taken(lambda value: Engine(model, **{**blocks, name: value}))


@pytest.mark.parametrize("timeout_s", ["1", float("inf"), float("nan"), -1, 10**400, [1]])
def test_a_time_that_is_none_is_refused(engine: Engine, timeout_s: Any) -> None:
    """It would be waited for in ways that differ by platform."""
    generation = engine.session.add("to be served", SamplingParams(max_tokens=100, ignore_eos=True))
    with pytest.raises(InputError, match=r"^timeout_s: .* is not accepted; a finite number of seconds"):
        generation.result(timeout_s)


def test_one_text_is_not_several_prompts(engine: Engine) -> None:
    """Its characters would each be completed."""
    text: Any = "hello"
    with pytest.raises(InputError, match=r"^prompts: 'hello' is not accepted; several in a list are$"):
        engine.generate(text)


def test_stop_tokens_of_numpy() -> None:
    """They are kept as Python's own."""
    stop: Any = np.array([3, 4])
    assert SamplingParams(stop_token_ids=stop) == SamplingParams(stop_token_ids=(3, 4))
