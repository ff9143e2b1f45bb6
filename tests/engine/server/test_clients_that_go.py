"""Clients that go, read slowly or say nothing: what they asked for is ended, and no block is lost."""

from __future__ import annotations

import json
import socket
from contextlib import suppress
from typing import Any

import numpy as np

from http_server import Served, serving
from live import MOST_S, Gated, wait_until

LONG: dict[str, Any] = {"prompt": "ab", "max_tokens": 120, "ignore_eos": True, "temperature": 0}


def raw(served: Served, body: dict[str, object]) -> socket.socket:
    """A connection on which a request was sent, and nothing is read."""
    content = json.dumps(body).encode()
    connection = socket.create_connection(("127.0.0.1", served.port))
    head = (
        f"POST /v1/completions HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: {len(content)}"
    )
    connection.sendall(head.encode() + b"\r\n\r\n" + content)
    return connection


def read_until(connection: socket.socket, wanted: bytes) -> None:
    """Reads until that has come; fails if it does not."""
    connection.settimeout(MOST_S)
    read = b""
    while wanted not in read:
        came = connection.recv(2**16)
        assert came, f"it ended with {read[-100:]!r}"
        read += came


def test_a_client_that_goes_frees_its_blocks_by_the_next_iteration() -> None:
    """Of a stream and of a whole answer, before the first token and after some: no further iteration serves it."""
    for stream in (False, True):
        gated = Gated()
        with serving(gated) as served:
            connection = raw(served, {**LONG, "stream": stream})
            assert gated.asked.wait(MOST_S)
            connection.close()
            follower = next(iter(served.service._followers))
            wait_until(lambda follower=follower: follower.is_gone)  # type: ignore[misc]
            gated.gate.set()  # the iteration under way ends, and the next one does not serve it
            served.check_idle()
            assert len(follower.generations[0].request.output_token_ids) <= 1


def test_a_stream_that_is_left_ends(served: Served) -> None:
    """After its first piece; the others go on."""
    other = served.text(**LONG)
    connections = [raw(served, {**LONG, "stream": True}) for _ in range(5)]
    for connection in connections:
        read_until(connection, b"HTTP/1.1 200")
        connection.close()
    assert served.text(**LONG) == other
    served.check_idle()


def test_half_open_and_silent_connections_hold_no_place(served: Served) -> None:
    """Heads without an end, bodies that never come, and clients that shut their side down."""
    silent = [socket.create_connection(("127.0.0.1", served.port)) for _ in range(3)]
    for connection, sent in zip(
        silent, [b"", b"POST /v1/completions HTTP/1.1\r\n", b"POST /v1/completions HTTP/1.1\r\nHost: a\r\nContent-Le"],
        strict=True,
    ):  # fmt: skip
        connection.sendall(sent)
    waiting = socket.create_connection(("127.0.0.1", served.port))
    waiting.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{")
    assert served.text(prompt="ab", max_tokens=2, temperature=0)
    assert served.service.in_flight.num_requests == 0
    half = raw(served, {**LONG, "stream": True})
    half.shutdown(socket.SHUT_WR)
    served.check_idle()
    for connection in (*silent, waiting, half):
        connection.close()


def test_a_slow_reader_holds_no_place_and_no_block(served: Served) -> None:
    """Its requests end in the engine although nothing of them is read."""
    slow = [raw(served, {**LONG, "prompt": [[5, 6]] * 8, "stream": True}) for _ in range(4)]
    wait_until(lambda: bool(served.service.in_flight.num_requests))
    served.check_idle()
    for connection in slow:
        read_until(connection, b"data: ")
        connection.close()


def test_bytes_that_are_no_http_get_an_answer_or_an_end(served: Served) -> None:
    """A hundred random ones, some before all is sent or read; the server goes on."""
    rng = np.random.default_rng(3)
    for _ in range(100):
        content = rng.bytes(int(rng.integers(1, 200))) + b"\r\n\r\n"
        with suppress(ConnectionError), socket.create_connection(("127.0.0.1", served.port)) as connection:
            connection.sendall(content)
            connection.shutdown(socket.SHUT_WR)
            assert connection.recv(12) in (b"", b"HTTP/1.1 400")
    assert served.text(prompt="ab", max_tokens=2, temperature=0)
