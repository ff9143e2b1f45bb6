"""Objectives by name."""

from __future__ import annotations

import pytest

from aptsched import InputError
from aptsched.metrics.slo_presets import preset
from aptsched.scheduling.record import SLO


@pytest.mark.parametrize(
    ("name", "model", "slo"),
    [
        ("chat", "opt-13b", SLO(1.0, 0.2)),
        ("paper", "opt-13b", SLO(1.0, 1.0)),
        ("mlperf-server", "llama-3.1-8b", SLO(2.0, 0.1)),
        ("mlperf-interactive", "models/Meta-Llama-3.1-8B-Instruct", SLO(0.5, 0.03)),
        ("mlperf-server", "meta-llama/Llama-2-70b-chat-hf", SLO(2.0, 0.2)),
        ("mlperf-interactive", "llama-2-70b", SLO(0.45, 0.04)),
    ],
)
def test_a_preset_by_name_and_model(name: str, model: str, slo: SLO) -> None:
    """MLPerf's are those of the model, whatever stands around its name; others do not depend on it."""
    assert preset(name, model) == slo


@pytest.mark.parametrize("model", ["llama-3-8b", "llama-2-7b", "opt-13b", ""])
@pytest.mark.parametrize("name", ["mlperf-server", "mlperf-interactive"])
def test_another_model_has_no_pair(name: str, model: str) -> None:
    """The message names it and the models that have one."""
    with pytest.raises(InputError, match=f"{name} has no pair of {model!r}; of llama-3.1-8b, llama-2-70b it has"):
        preset(name, model)


def test_an_unknown_name_is_refused_by_those_that_there_are() -> None:
    """All of them."""
    with pytest.raises(InputError, match="'fast' is not known; chat, paper, mlperf-server, mlperf-interactive are"):
        preset("fast", "opt-13b")
