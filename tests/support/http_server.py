"""A server on a tiny model, on a real socket, in a thread of its own."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
import numpy as np

from aptsched.policies.fcfs import FCFS
from aptsched.scheduling.plan import Policy
from aptsched.scheduling.record import SLO
from engine.models.model import Model
from engine.server.app import application
from engine.server.exposition import Exposition
from engine.server.live_routes import Live
from engine.server.live_view import LiveView
from engine.server.onlookers import Onlookers
from engine.server.own_load import OwnLoad
from engine.server.service import Service
from engine.server.switched import Switched
from engine.server.uvicorn_server import UvicornServer, bound_socket
from engine.session.engine import Engine
from engine.study.named_policies import named_policies
from engine.study.serving import NamedPolicy
from live import MOST_S, exact_model, in_time, wait_until

SLO_OF_ALL = SLO(1e6, 1e6)  # met however busy the machine is
JSON = {"content-type": "application/json"}  # of bodies that are sent as bytes


@dataclass
class Served:
    """A server that runs, and a client of it."""

    url: str
    port: int
    engine: Engine
    service: Service
    server: UvicornServer
    live: Live
    client: httpx2.Client
    thread: threading.Thread

    def complete(self, headers: dict[str, str] | None = None, **body: Any) -> httpx2.Response:
        """The response to a completion."""
        return self.client.post("/v1/completions", json=body, headers=headers or {})

    def text(self, **body: Any) -> str:
        """The text of a completion."""
        response = self.complete(**body)
        assert response.status_code == 200, response.text
        return str(response.json()["choices"][0]["text"])

    def pieces(self, **body: Any) -> list[dict[str, Any]]:
        """All pieces of a stream, whose end has come."""
        with self.client.stream("POST", "/v1/completions", json={**body, "stream": True}) as response:
            assert response.status_code == 200, response.read()
            lines = [line for line in response.iter_lines() if line]
        assert lines[-1] == "data: [DONE]"
        return [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]

    def check_idle(self) -> None:
        """No request is left, no block is held, and the pool agrees with itself."""
        wait_until(lambda: not (self.service.in_flight.num_requests or self.engine.session.worker.num_unfinished))
        pool = self.engine.pool
        pool.check_integrity()
        assert pool.free_blocks == pool.num_blocks


def error_in(response: httpx2.Response) -> dict[str, Any]:
    """The error of a response, which has all that OpenAI's have, and a message of one line."""
    error: dict[str, Any] = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"} and error["message"].isprintable()
    return error


def free_port() -> int:
    """A port on which nobody listens now."""
    with bound_socket("127.0.0.1", 0) as listening:
        return int(listening.getsockname()[1])


@contextmanager
def serving(
    policy: Policy | None = None,
    model: Model | None = None,
    max_requests: int = 64,
    num_blocks: int = 64,
    drain_s: float = MOST_S,
    api_key: str | None = None,
    policies: Sequence[str] = (),
    has_controls: bool = True,
    port: int = 0,
) -> Iterator[Served]:
    """A server, which is ended at the end as by SIGTERM."""
    exposition, view, made = Exposition("tiny"), LiveView(), list[tuple[Service, UvicornServer, Live]]()
    named = named_policies(policies) if policies else [NamedPolicy("own", lambda: policy or FCFS())]
    switched, both = Switched(named), Onlookers(exposition, view)
    engine = in_time(lambda: Engine(model or exact_model(), switched, num_blocks=num_blocks, onlooker=both))
    listening, begun = bound_socket("127.0.0.1", port), threading.Event()

    async def run() -> None:
        service = Service(
            engine.session, "tiny", SLO_OF_ALL, max_requests, exposition, np.random.default_rng(1), lambda error: None
        )
        live = Live(view, service, OwnLoad(service, np.random.default_rng(2)), switched, has_controls)
        server = UvicornServer(application(live, api_key), service, drain_s)
        made.append((service, server, live))
        begun.set()
        await server.serve(sockets=[listening])

    thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
    thread.start()
    assert begun.wait(MOST_S)
    bound = listening.getsockname()[1]
    url = f"http://127.0.0.1:{bound}"
    try:
        with httpx2.Client(base_url=url, timeout=MOST_S) as client:
            yield Served(url, bound, engine, *made[0], client, thread)
    finally:
        made[0][1].should_exit = True
        thread.join(MOST_S)
        engine.session.close()
        assert not thread.is_alive()
