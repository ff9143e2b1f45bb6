"""What Prometheus reads is what was served."""

from __future__ import annotations

from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from aptsched.policies.aptserve import AptServe
from aptsched.policies.fcfs import FCFS
from aptsched.policies.shed import Shed
from http_server import Served, serving
from live import wait_until

BODY: dict[str, Any] = {"prompt": [5, 6, 7], "max_tokens": 8, "ignore_eos": True, "temperature": 0}


def values(served: Served) -> dict[str, float]:
    """The value of each sample, by its name and, where it has any besides the model's, its labels."""
    text = served.client.get("/metrics").text
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = [value for name, value in sample.labels.items() if name != "model_name"]
            found[":".join([sample.name, *labels])] = sample.value
    return found


def test_counts_are_those_of_the_requests() -> None:
    """Tokens, latencies, ends, and objectives that were met or not; nothing runs, waits or is held at the end."""
    with serving() as served:
        for _ in range(3):
            assert served.complete(**BODY).status_code == 200
        assert served.complete({"x-slo-ttft-ms": "0.000001"}, **BODY).status_code == 200
        assert served.complete(prompt="a" * 500).status_code == 400
        wait_until(lambda: values(served)["aptsched:iterations_total"] == 4 * 8)  # told of after the requests' ends
        found = values(served)
    assert found["vllm:prompt_tokens_total"] == 4 * 3 and found["vllm:generation_tokens_total"] == 4 * 8
    assert found["vllm:time_to_first_token_seconds_count"] == found["vllm:e2e_request_latency_seconds_count"] == 4
    assert found["vllm:inter_token_latency_seconds_count"] == 4 * 7
    assert found["vllm:request_success_total:length"] == 4
    assert (found["aptsched:requests_judged_total"], found["aptsched:requests_attained_total"]) == (5, 3)
    assert found["aptsched:requests_refused_total:size"] == 1
    assert found["aptsched:decision_seconds_count"] == 4 * 8
    assert found["vllm:num_requests_running"] == found["vllm:num_requests_waiting"] == 0
    assert found["vllm:kv_cache_usage_perc"] == found["aptsched:pending_seconds"] == 0
    assert found["aptsched:cache_blocks:kv"] == 0


def test_rejections_and_certified_gaps_are_counted() -> None:
    """The first by who refused, the second for each decision that has a certificate."""
    with serving(Shed(FCFS())) as served:
        assert served.complete({"x-slo-ttft-ms": "1e-9"}, **BODY).status_code == 429
        assert values(served)["aptsched:requests_refused_total:policy"] == 1
    with serving(AptServe()) as served:
        assert served.complete(**BODY).status_code == 200
        found = values(served)
    assert 0 < found["aptsched:certified_gap_ratio_count"] <= found["aptsched:iterations_total"]


def test_nothing_is_left_where_the_last_client_has_gone() -> None:
    """Its request ends outside of an iteration: nothing runs, is held or is pending after it."""
    with serving() as served:
        body = {**BODY, "max_tokens": 60, "stream": True}
        with served.client.stream("POST", "/v1/completions", json=body) as response:
            next(response.iter_lines())
        idle = ("vllm:num_requests_running", "aptsched:cache_blocks:kv", "vllm:kv_cache_usage_perc")
        wait_until(lambda: "vllm:request_success_total:abort" in (found := values(served)) and not found[idle[0]])
        found = values(served)
    assert found["vllm:request_success_total:abort"] == 1
    assert [found[name] for name in (*idle, "aptsched:pending_seconds")] == [0] * 4
