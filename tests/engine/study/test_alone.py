"""How long requests take alone, by what a calibration says, and by the clock of a run with one request."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aptsched.scheduling.iteration_time import IterationTime
from engine.study.real_model import alone_s
from engine.study.replay import Replay

TIMES = IterationTime(fixed_s=0.02, per_token_s=1e-4, per_context_token_s=1e-6, per_decode_s=-5e-5, prefill_s=3e-3)


def requests(prompts: list[int], outputs: list[int]) -> Replay:
    return Replay(np.zeros(len(prompts)), np.array(prompts), np.array(outputs))


@given(st.lists(st.tuples(st.integers(1, 3000), st.integers(1, 500)), min_size=1, max_size=5))
def test_alone_it_takes_its_iterations(lengths: list[tuple[int, int]]) -> None:
    """A prefill and then a decode for each further token, as the same times predict them one by one."""
    prompts, outputs = ([one[place] for one in lengths] for place in (0, 1))
    found = alone_s(requests(prompts, outputs), TIMES)
    assert found is not None
    for seconds, prompt, output in zip(found.tolist(), prompts, outputs, strict=True):
        decodes = (TIMES.predict(1, prompt + i, num_decodes=1) for i in range(output - 1))
        assert seconds == pytest.approx(TIMES.predict(prompt) + sum(decodes), rel=1e-9)


def test_times_of_nothing_say_nothing() -> None:
    """A calibration by which an iteration takes no time has no verdict on stability."""
    assert alone_s(requests([5], [3]), IterationTime()) is None
