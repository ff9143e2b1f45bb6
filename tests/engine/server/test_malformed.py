"""Thousands of requests that are none, or nearly: each gets one clear error, and nothing is left in the engine."""

from __future__ import annotations

import json
import logging
import socket
from contextlib import suppress
from typing import Any

import numpy as np
import pytest

from http_server import JSON, Served, error_in
from live import MOST_S

BODY: dict[str, Any] = {"prompt": "ab", "max_tokens": 2, "temperature": 0, "stop": ["x"], "stream": False}
ODD: list[Any] = [
    None,
    True,
    -1,
    1e300,
    2**70,
    0.5,
    "",
    "\ud800",
    [],
    {},
    [[]],
    [None],
    {"a": {}},
    "a" * 10_000,
    [5] * 500,
]
PIECES = [b"\xff", b"\xc3", b"\x00", b"{", b"}", b'"', b"[" * 2000, b"\\u", b"1e999", b"NaN", b"-", b"\r\n", b","]
HEADS = [
    b"Content-Length: 5",
    b"Content-Length: -1",
    b"Content-Length: x",
    b"Transfer-Encoding: chunked",
    b"Expect: 100-continue",
]
HEADS += [b"x-priority: \xff", b": ", b"a" * 70_000 + b": b", b"x-slo-ttft-ms: " + b"9" * 400, b"Upgrade: websocket"]
PATHS = ["/v1/completions", "/v1/chat/completions", "/live/load", "/live/policy"]


def body(rng: np.random.Generator) -> bytes:
    """A body with a field or some bytes that are not as they should be."""
    given = dict(BODY)
    if rng.random() < 0.6:
        name = str(rng.choice([*BODY, "logprobs", "messages", "seed", "stream_options", "nope"]))
        given[name] = ODD[int(rng.integers(len(ODD)))]
    content = json.dumps(given).encode()
    if rng.random() < 0.6:
        at, piece = int(rng.integers(len(content))), PIECES[int(rng.integers(len(PIECES)))]
        content = content[:at] + piece + content[at + int(rng.integers(3)) :]
    return content[: int(rng.integers(len(content)))] if rng.random() < 0.2 else content


def check_answer(served: Served, rng: np.random.Generator) -> bool:
    """Sends a body under a right head; returns whether it was refused, with one message and nothing else."""
    response = served.client.post(PATHS[int(rng.integers(len(PATHS)))], content=body(rng), headers=JSON)
    if response.status_code < 300:
        return False
    assert response.status_code in (400, 404, 413), response.text
    error_in(response)
    return True


def check_bytes(served: Served, rng: np.random.Generator) -> None:
    """Sends bytes that are hardly HTTP: the answer, if there is one before the end, is no error of the server."""
    content = body(rng)
    head = [b"POST /v1/completions HTTP/1.1", b"Host: a", b"Content-Type: application/json", b"Connection: close"]
    head += [b"Content-Length: %d" % len(content), HEADS[int(rng.integers(len(HEADS)))]]
    with suppress(ConnectionError), socket.create_connection(("127.0.0.1", served.port), MOST_S) as connection:
        connection.sendall(b"\r\n".join(head) + b"\r\n\r\n" + content)
        connection.shutdown(socket.SHUT_WR)
        answer = connection.recv(2**16)
        assert not answer.startswith(b"HTTP/1.1 5"), answer


@pytest.mark.parametrize("num_requests", [400, pytest.param(10_000, marks=pytest.mark.slow)])
def test_each_gets_one_clear_error(served: Served, num_requests: int, caplog: pytest.LogCaptureFixture) -> None:
    """Half of them in bodies, half in bytes; no error is logged, a good request is served, and the pool is whole."""
    rng, num_refused = np.random.default_rng(num_requests), 0
    with caplog.at_level(logging.ERROR):
        for _ in range(num_requests // 2):
            num_refused += check_answer(served, rng)
            check_bytes(served, rng)
    assert num_refused > num_requests // 4
    assert [record.getMessage() for record in caplog.records] == []
    assert served.complete(**BODY).status_code == 200
    served.check_idle()
