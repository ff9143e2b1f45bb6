"""How a server ends: requests that are here end first, for a limited time; a second signal waits for none."""

from __future__ import annotations

import signal
import socket
from contextlib import suppress
from typing import Any

import httpx2
import pytest

from aptsched.scheduling.plan import Plan
from aptsched.scheduling.view import View
from engine.server import uvicorn_server
from engine.state.sampling_params import SamplingParams
from http_server import Served, serving
from live import MOST_S, Gated, together, wait_until

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
def test_requests_that_take_too_long_are_broken_off(is_second: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the time to drain, or by a second signal: the code says the signal.

    Clients that wait get an error at once, while the iteration is still under way.
    """
    monkeypatch.setattr(uvicorn_server, "GRACE_S", MOST_S)
    gated = Gated()
    with serving(gated, drain_s=MOST_S if is_second else 0.2) as served:
        statuses = list[int]()

        def stop() -> None:
            assert gated.asked.wait(MOST_S)
            served.server.handle_exit(signal.SIGTERM, None)
            wait_until(lambda: served.service.is_closing)
            if is_second:
                served.server.handle_exit(signal.SIGTERM, None)
            wait_until(lambda: statuses == [503])
            gated.gate.set()

        together([lambda: statuses.append(served.complete(**BODY).status_code)], stop)
        assert ended(served) == 128 + signal.SIGTERM
        wait_until(lambda: not served.engine.session.worker.num_unfinished)
        served.engine.pool.check_integrity()


def test_connections_that_clients_leave_open_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    """One whose body never comes whole, at a second signal: its client sees the end, and the exit code is 0."""
    monkeypatch.setattr(uvicorn_server, "GRACE_S", 0.05)
    with serving() as served, socket.create_connection(("127.0.0.1", served.port), MOST_S) as half:
        half.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{")
        wait_until(lambda: bool(served.server.server_state.tasks))
        for _ in range(2):
            served.server.handle_exit(signal.SIGTERM, None)
        assert ended(served) == 0
        with suppress(ConnectionError):
            assert half.recv(1) == b""


def test_a_policy_that_fails_is_said_and_ends_health() -> None:
    """The request that met it gets 500 with the error, later ones 503, and /health says so."""
    with serving(Failing()) as served:
        first = served.complete(**BODY)
        assert first.status_code == 500 and "ZeroDivisionError: of the test" in first.json()["error"]["message"]
        assert served.complete(**BODY).status_code == 503
        assert served.client.get("/health").status_code == 503
