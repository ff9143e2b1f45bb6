"""Requests served to completion, and what is changed beside FastServe's published latencies."""

from __future__ import annotations

import pytest

from benchmarks.fastserve import CHANGED, PUBLISHED, Bench, Completed, Completion
from engine.loop.limits import Limits
from engine.models.find_config import find_config
from engine.simulator.gpu_file import find_gpu
from engine.study.arrival_source import ArrivalSource
from engine.study.simulation import Setup, simulated_server

RATE_PER_S = 0.5


@pytest.fixture(scope="module")
def bench() -> Bench:
    """Thirty requests on the published model and card."""
    server = simulated_server(Setup(find_config("opt-13b"), find_gpu("a100-40gb")), Limits(max_seqs=16))
    return Bench(server, ArrivalSource(None, "sharegpt", 30, None, 0))


def test_a_batch_ends_before_the_next_begins(bench: Bench) -> None:
    """With two in a batch at most, no request of a batch has its first token before all those before it have ended."""
    policy = Completion(most=2)
    records = bench.run(policy, RATE_PER_S)
    batches: dict[int, list[tuple[float, float]]] = {}
    for record in records:
        spans = batches.setdefault(policy.batch_of[record.request_id], [])
        spans.append((float(record.token_at_s[0]), float(record.token_at_s[-1])))
    assert max(map(len, batches.values())) == 2
    for number in sorted(batches)[1:]:
        assert min(first for first, _ in batches[number]) > max(last for _, last in batches[number - 1])


def test_answered_singly_nobody_waits_longer(bench: Bench) -> None:
    """The run is the same, and who ends before the batch does has a lower latency."""
    whole, singly = Completed(), Completed("each answered when it ends", singly=True)
    for of_batch, of_each in zip(
        whole.mean_and_tail_s(bench, RATE_PER_S), singly.mean_and_tail_s(bench, RATE_PER_S), strict=True
    ):
        assert of_each < of_batch


def test_each_published_rate_has_one_cause_changed() -> None:
    """Exactly one field beside its name differs from the usual ones."""
    assert set(CHANGED) == set(PUBLISHED)
    for changed in CHANGED.values():
        assert sum((changed.singly, changed.most is not None, changed.num_requests is not None)) == 1 and changed.cause
