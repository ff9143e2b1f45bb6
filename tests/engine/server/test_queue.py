"""So many requests are in the server as are configured, not one more; the rest is told when to come again."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from aptsched.policies.fcfs import FCFS
from aptsched.policies.shed import Shed
from engine.server.in_flight import InFlight
from http_server import Served, serving
from live import Gated, together, wait_until

BODY: dict[str, Any] = {"prompt": "ab", "max_tokens": 5, "temperature": 0, "ignore_eos": True}


def test_at_ten_times_the_bound_the_rest_is_told_to_come_again() -> None:
    """80 clients at 8 places, while nothing is served: 72 get 429 with Retry-After, 8 are served; then all are."""
    gated, most = Gated(), 8
    with serving(gated, max_requests=most) as served:
        statuses, lock = list[int](), threading.Lock()

        def ask() -> None:
            response = served.complete(**BODY)
            with lock:
                statuses.append(response.status_code)
            if response.status_code == 429:
                assert 1 <= int(response.headers["retry-after"]) <= 60
                assert response.json()["error"]["code"] == "queue_full"

        def let() -> None:
            wait_until(lambda: len(statuses) == 9 * most)
            assert served.service.in_flight.num_requests == most
            gated.gate.set()

        together([ask] * 10 * most, let)
        assert sorted(statuses) == [200] * most + [429] * 9 * most
        assert served.complete(**BODY).status_code == 200
        served.check_idle()


def test_prompts_of_one_request_take_a_place_each() -> None:
    """More of them than there are places are never accepted, and no place is taken for them."""
    with serving(max_requests=3) as served:
        assert served.complete(**{**BODY, "prompt": ["a"] * 3}).status_code == 200
        refused = served.complete(**{**BODY, "prompt": ["a"] * 4})
        assert refused.status_code == 400 and refused.json()["error"]["param"] == "prompt"
        served.check_idle()


@pytest.mark.parametrize("stream", [False, True])
def test_what_the_policy_rejects_is_told_to_come_again(stream: bool) -> None:
    """A request that is too late already, by a stream too: a status, and no half of an answer."""
    with serving(Shed(FCFS())) as served:
        response = served.complete({"x-slo-ttft-ms": "1e-9"}, **BODY, stream=stream)
        assert response.status_code == 429 and response.json()["error"]["code"] == "rejected"
        assert int(response.headers["retry-after"]) >= 1
        assert served.complete(**BODY, stream=stream).status_code == 200
        served.check_idle()


def test_when_to_come_again_follows_how_fast_places_become_free() -> None:
    """By the mean gap between the last ends; from a second to a minute."""
    in_flight = InFlight(4)
    assert in_flight.enter(4) and not in_flight.enter(1) and in_flight.retry_after_s(1) == 1.0
    for now_s in (10.0, 15.0, 20.0):
        in_flight.leave(1, now_s)
    assert in_flight.retry_after_s(1) == 5.0 and in_flight.retry_after_s(3) == 15.0
    assert in_flight.retry_after_s(100) == 60.0 and in_flight.num_requests == 1


def test_a_prompt_that_is_not_known_leaves_its_place(served: Served) -> None:
    """An error after a place was taken gives it back."""
    for _ in range(100):
        assert served.complete(prompt=[100_000]).status_code == 400
    assert served.service.in_flight.num_requests == 0
