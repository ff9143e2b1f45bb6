"""How a server ends: requests that are here end first, for a limited time; a second signal waits for none."""

from __future__ import annotations

import signal
from typing import Any

import httpx2
import pytest

from aptsched.scheduling.plan import Plan
from aptsched.scheduling.view import View
from engine.state.sampling_params import SamplingParams
from http_server import Served, serving, wait_until
from live import MOST_S, Gated, together

BODY: dict[str, Any] = {"prompt": "ab", "max_tokens": 5, "temperature": 0, "ignore_eos": True}


class Failing:
    """A policy that fails."""

    def decide(self, view: View) -> Plan:
        """Never returns a plan."""
        raise ZeroDivisionError("of the test")


def ended(served: Served) -> int:
    """The exit code, once the server has ended."""
    served.thread.join(MOST_S)
    assert not served.thread.is_alive()
    return served.server.exit_code


def test_requests_that_are_here_end_and_no_others_begin() -> None:
    """A stream is whole, a new connection is refused, and the exit code is 0."""
    gated = Gated()
    with serving(gated) as served:
        texts = list[str]()

        def stop() -> None:
            assert gated.asked.wait(MOST_S)
            served.server.handle_exit(signal.SIGTERM, None)
            wait_until(lambda: served.service.is_closing)
            with pytest.raises(httpx2.TransportError):
                httpx2.post(f"{served.url}/v1/completions", json=BODY, timeout=5)
            gated.gate.set()

        together([lambda: texts.append("".join(each["choices"][0]["text"] for each in served.pieces(**BODY)))], stop)
        assert ended(served) == 0
        assert texts == [served.engine.generate(["ab"], SamplingParams(max_tokens=5, ignore_eos=True))[0].text]


@pytest.mark.parametrize("is_second", [False, True])
def test_requests_that_take_too_long_are_broken_off(is_second: bool) -> None:
    """After the time to drain, or by a second signal: clients that wait get an error, and the code says the signal."""
    gated = Gated()
    with serving(gated, drain_s=MOST_S if is_second else 0.2) as served:
        statuses = list[object]()

        def ask() -> None:
            try:
                statuses.append(served.complete(**BODY).status_code)
            except httpx2.TransportError:
                statuses.append("cut")

        def stop() -> None:
            assert gated.asked.wait(MOST_S)
            served.server.handle_exit(signal.SIGTERM, None)
            wait_until(lambda: served.service.is_closing)
            if is_second:
                served.server.handle_exit(signal.SIGTERM, None)
            wait_until(lambda: served.server.exit_code != 0)
            gated.gate.set()

        together([ask], stop)
        assert ended(served) == 128 + signal.SIGTERM
        assert statuses[0] in ((503, "cut") if is_second else (503,))
        wait_until(lambda: not served.engine.session.worker.num_unfinished)
        served.engine.pool.check_integrity()


def test_a_policy_that_fails_is_said_and_ends_health() -> None:
    """The request that met it gets 500 with the error, later ones 503, and /health says so."""
    with serving(Failing()) as served:
        first = served.complete(**BODY)
        assert first.status_code == 500 and "ZeroDivisionError: of the test" in first.json()["error"]["message"]
        assert served.complete(**BODY).status_code == 503
        assert served.client.get("/health").status_code == 503
