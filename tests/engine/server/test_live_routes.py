"""What the live page is sent, and what can be changed from it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from http_server import Served, serving
from live import MOST_S, wait_until

BODY: dict[str, Any] = {"prompt": "ab", "max_tokens": 60, "ignore_eos": True, "temperature": 0}
POLICIES = ("fcfs", "sarathi", "aptserve")


@pytest.fixture(scope="module")
def live() -> Iterator[Served]:
    """A server with three policies, and controls."""
    with serving(policies=POLICIES) as served:
        yield served


def events(served: Served) -> Iterator[dict[str, Any]]:
    """What the page is sent."""
    with served.client.stream("GET", "/live/events") as response:
        assert response.status_code == 200
        for line in response.iter_lines():
            if line:
                yield json.loads(line.removeprefix("data: "))


def test_the_page_is_one_file(live: Served) -> None:
    """It names no other host."""
    response = live.client.get("/")
    assert response.status_code == 200 and response.headers["content-type"].startswith("text/html")
    assert "http://" not in response.text and "https://" not in response.text and "<script src" not in response.text


def test_load_shows_as_requests_that_come_and_end(live: Served) -> None:
    """In phases and forms, until they are among those that ended; without load nothing is left."""
    assert live.client.post("/live/load", json={"rate_per_s": 40}).status_code == 204
    phases, forms, ended = set[str](), set[str](), set[int]()
    for state in events(live):
        assert state["rate_per_s"] == 40 and state["policies"] == list(POLICIES)
        for row in state["requests"]:
            phases.add(row["phase"])
            forms.add(row["form"])
            assert row["num_prompt_tokens"] <= row["num_tokens"] <= row["cap_tokens"]
        assert sum(state["blocks"].values()) <= state["num_blocks"] or not state["num_blocks"]
        ended |= {each["id"] for each in state["ended"]}
        if "decode" in phases and len(ended) > 3:
            break
    assert phases <= {"waiting", "prefill", "decode", "held", "swapped"} and "kv" in forms
    assert live.client.post("/live/load", json={"rate_per_s": 0}).status_code == 204
    live.check_idle()
    state = next(events(live))
    assert state["requests"] == [] and state["num_in_flight"] == 0 and state["num_decisions"] > 0
    wait_until(lambda: live.live.view.num_watchers == 0)


def test_the_policy_is_switched_while_requests_run(live: Served) -> None:
    """The text of those that run is the same; the next state has the new name; a name that is none is refused."""
    whole = live.text(**BODY)
    pieces = []
    with live.client.stream("POST", "/v1/completions", json={**BODY, "stream": True}) as response:
        for number, line in enumerate(filter(None, response.iter_lines())):
            pieces.append(line)
            if number % 5 == 0:
                name = POLICIES[number // 5 % 3]
                assert live.client.post("/live/policy", json={"name": name}).status_code == 204
                assert live.live.policy.name == name
    texts = [json.loads(line.removeprefix("data: "))["choices"][0]["text"] for line in pieces[:-1]]
    assert "".join(texts) == whole
    refused = live.client.post("/live/policy", json={"name": "nope"})
    assert refused.status_code == 404 and "one of fcfs, sarathi, aptserve is" in refused.json()["error"]["message"]


@pytest.mark.parametrize("rate", [-1, 101, "5", None])
def test_rates_out_of_range_are_refused(live: Served, rate: object) -> None:
    """And change nothing."""
    assert live.client.post("/live/load", json={"rate_per_s": rate}).status_code == 400
    assert live.live.load.rate_per_s == 0


def test_a_form_of_another_page_changes_nothing(live: Served) -> None:
    """What browsers send without asking is no JSON by its type."""
    for kind in ("text/plain", "application/x-www-form-urlencoded"):
        response = live.client.post("/live/load", content=b'{"rate_per_s": 5}', headers={"content-type": kind})
        assert response.status_code == 400 and live.live.load.rate_per_s == 0


def test_without_controls_it_is_only_watched() -> None:
    """Events come, and changes are refused."""
    with serving(has_controls=False) as served:
        assert next(events(served))["has_controls"] is False
        assert served.client.post("/live/load", json={"rate_per_s": 5}).status_code == 403
        assert served.client.post("/live/policy", json={"name": "fcfs"}).status_code == 403


def test_with_a_key_events_ask_for_it() -> None:
    """The page itself does not."""
    with serving(api_key="key") as served:
        assert served.client.get("/").status_code == 200
        assert served.client.get("/live/events").status_code == 401
        assert served.client.post("/live/load", json={"rate_per_s": 5}).status_code == 401


def test_watchers_do_not_hold_up_the_end() -> None:
    """A page that is open when the server is told to end gets the end of its stream."""
    with serving() as served:
        for state in events(served):
            served.server.should_exit = True
            assert state["instance"]
        served.thread.join(MOST_S)
        assert not served.thread.is_alive()
