"""QoServe's figures: its model of iterations, requests of its three classes, who violates, and what is kept."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from aptsched.scheduling.record import SLO, Outcome, RequestRecord
from benchmarks.qoserve.iterations import LinearCost, linear_server
from benchmarks.qoserve.rows import ABLATION, Compared, written
from benchmarks.qoserve.violations import MEDIANS, TTLT_S, Bench, Requests, Served, violates
from ended import NO_COUNTS
from engine.simulator.work import Work

EDF, QOSERVE = ABLATION["EDF"][0], ABLATION["+ hybrid: QoServe"][0]


def record_of(token_at_s: list[float], outcome: Outcome = Outcome.FINISHED) -> RequestRecord:
    """A request that arrived at 10 s."""
    return RequestRecord(0, 10.0, 5, SLO(), np.array(token_at_s), outcome, **NO_COUNTS)


@pytest.mark.parametrize(
    ("work", "seconds"),
    [
        (Work(), 0.0),
        (Work(decode_seqs=10, context_tokens=1000), 0.014936 + 10 * (5.882475e-05 + 3.634519e-05) + 1.111258e-04),
        (Work(256, 256**2), 0.014936 + 256 * (5.882475e-05 + 2.247956e-05)),
        (Work(1024, 3072**2 - 2048**2, 2048), 0.005004 + 1024 * (2.719050e-05 + 6.863043e-05) + 2048 * 2.727223e-06),
    ],
)
def test_iterations_take_what_the_model_says(work: Work, seconds: float) -> None:
    """An empty one, decodes, a chunk on the first line, and one on the second behind cached tokens of its prompt."""
    assert LinearCost().seconds(work) == pytest.approx(seconds, rel=1e-12)


def test_many_iterations_at_once() -> None:
    """Arrays of amounts take what each amount takes alone."""
    decodes = np.array([1, 100, 600])
    each = [float(LinearCost().seconds(Work(decode_seqs=int(n), context_tokens=70))) for n in decodes]
    assert np.allclose(LinearCost().seconds(Work(decode_seqs=decodes, context_tokens=70)), each, rtol=1e-12)


def test_requests_are_those_published() -> None:
    """A third is of each class, medians are QoServe's within 3%, and all fit into the model's context."""
    trace, classes = Requests(1.0).trace(3.0)
    assert all(abs(count - 3600) < 4 * np.sqrt(3600) for count in Counter(classes.tolist()).values())
    medians = [np.median(tokens) for tokens in (trace.prompt_tokens, trace.output_tokens)]
    assert medians == pytest.approx(MEDIANS, rel=0.03)
    assert (trace.prompt_tokens + trace.output_tokens).max() <= 8192


def test_a_class_due_as_a_whole_leaves_time_for_its_output() -> None:
    """A long output after its TTFT, at 50 ms a token, ends as the whole is due."""
    trace, classes = Requests(0.5).trace(3.0)
    long = trace.output_tokens.mean() + 2 * trace.output_tokens.std()
    assert trace.own.slo_ttft_s is not None
    due_s = trace.own.slo_ttft_s + 0.05 * (long - 1)
    for number, whole_s in enumerate(TTLT_S[1:], 1):
        assert np.allclose(due_s[classes == number], whole_s)
    assert (trace.own.slo_ttft_s[classes == 0] == 6).all()


@pytest.mark.parametrize(
    ("token_at_s", "whole_s", "does"),
    [
        ([16.0, 16.05], 0.0, False),
        ([16.1], 0.0, True),
        ([16.0, 16.06], 0.0, True),
        ([16.1, 600.0, 610.0], 600.0, False),
        ([16.1, 610.1], 600.0, True),
    ],
)
def test_who_violates(token_at_s: list[float], whole_s: float, does: bool) -> None:
    """Each token is due at 6 s and 50 ms a token after arrival, or the last one alone."""
    assert violates(record_of(token_at_s), whole_s) is does
    assert violates(record_of(token_at_s, Outcome.UNFINISHED), whole_s)


def test_shares_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody violates at a low rate; at 40 a second many do by EDF, and fewer by QoServe; nothing is served twice."""
    bench, requests = Bench(linear_server(), tmp_path / "kept.json"), Requests(0.01)
    assert bench.served(QOSERVE, 1.0, requests).is_held
    late, fewer = (bench.served(policy, 40.0, requests) for policy in (EDF, QOSERVE))
    assert 0 < fewer.violations < late.violations < 1
    assert not late.is_held
    monkeypatch.setattr(Bench, "_serve", None)
    assert bench.served(EDF, 40.0, requests) == late


def test_a_queue_that_grows_is_not_held() -> None:
    """However few violate; nor is it held if too many do."""
    assert Served(0.01, 59.0).is_held
    assert not Served(0.0, 61.0).is_held
    assert not Served(0.011, 1.0).is_held


def test_a_row_of_the_table() -> None:
    """It has the figures and their ratio, and what is changed only if it was run."""
    row = Compared("violations", "EDF", 0.5, 0.25, "%", "2 hours", 0.4)
    assert written([row]).splitlines()[-1] == "| violations | EDF | 50% | 25% | 0.50 | 2 hours | 40% | 0.80 |"
    row = Compared("highest rate", "EDF", 2.0, 2.5, "req/s", "2 hours")
    assert written([row]).splitlines()[-1] == "| highest rate | EDF | 2 req/s | 2.5 req/s | 1.25 |  |  |  |"
    row = Compared("rate", "EDF", 2.0, 3.0, "x", stated="1 to 2 x")
    assert written([row]).splitlines()[-1] == "| rate | EDF | 1 to 2 x | 3 x | 1.50 |  |  |  |"
