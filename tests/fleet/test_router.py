"""Two replicas behind vllm-router, as the units of `examples/fleet` start them, with one killed in the middle."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from fleet_units import UNITS, Running, command_of
from tiny_model import LLAMA, save_model

WITHIN_S = 120.0  # for anything to be up, on a busy machine
CUT, WHOLE, REFUSED = "cut", "whole", "refused"


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def get(port: int, path: str) -> str | None:
    """What is at that path; None where nobody answers, or not with 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        text = answer.read().decode()
    except OSError:
        return None
    finally:
        connection.close()
    return text if answer.status == 200 else None


def wait_for(what: Callable[[], object]) -> None:
    """Returns once it is so."""
    started = time.monotonic()
    while not what():
        assert time.monotonic() - started < WITHIN_S
        time.sleep(0.05)


@dataclass
class Fleet:
    """The router's port, the replicas by port, and what the model is called."""

    port: int
    replicas: dict[int, Running]
    model: str

    def completed(self, port: int) -> float:
        """Requests that a replica has completed since it was started."""
        return self._figure(port, "vllm:request_success_total")

    def running(self, port: int) -> float:
        """Requests that run on a replica."""
        return self._figure(port, "vllm:num_requests_running")

    def _figure(self, port: int, name: str) -> float:
        text = get(port, "/metrics") or ""
        return sum(map(float, re.findall(rf"^{name}\S* (\S+)$", text, re.MULTILINE)))

    def stream(self, num_tokens: int) -> str:
        """How a stream of so many tokens ends."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=WITHIN_S)
        body = {"model": self.model, "prompt": "hello", "max_tokens": num_tokens, "ignore_eos": True, "stream": True}
        try:
            connection.request("POST", "/v1/completions", json.dumps(body), {"content-type": "application/json"})
            answer = connection.getresponse()
            text = answer.read()
        except (http.client.HTTPException, OSError):
            return CUT
        finally:
            connection.close()
        if answer.status != 200:
            return REFUSED
        return WHOLE if b"[DONE]" in text else CUT

    def streams(self, count: int, num_tokens: int) -> tuple[list[str], list[threading.Thread]]:
        """So many at once: how each ends, once its thread is done."""
        ends: list[str] = []
        threads = [threading.Thread(target=lambda: ends.append(self.stream(num_tokens))) for _ in range(count)]
        for thread in threads:
            thread.start()
        return ends, threads


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Both replicas and the router, on free ports, with a tiny model."""
    folder = tmp_path_factory.mktemp("fleet")
    model = save_model(folder / "model", {**LLAMA, "max_position_embeddings": 2048})
    options = "--threads 1 --cache-mem 8MiB"
    environment = {"MODEL": model, "POLICY": "shed(sarathi)", "OPTIONS": f"--slo-ttft 100 --slo-tpot 100 {options}"}
    port, metrics, *ports = free_ports(4)
    replicas = {
        each: Running(command_of("aptsched@.service", str(each), environment, {}), folder / f"{each}.log")
        for each in ports
    }
    replaced = {"8000": str(port), "8001": str(ports[0]), "8002": str(ports[1]), "29000": str(metrics)}
    router = Running(command_of("aptsched-router.service", "", {}, replaced), folder / "router.log")
    try:
        wait_for(lambda: get(port, "/health") is not None and all(get(each, "/health") is not None for each in ports))
        yield Fleet(port, replicas, model)
    finally:
        for each in (router, *replicas.values()):
            each.stop()


def test_streams_are_split(fleet: Fleet) -> None:
    """Of 40 at once no replica gets more than 60%."""
    before = {port: fleet.completed(port) for port in fleet.replicas}
    ends, threads = fleet.streams(40, 20)
    for thread in threads:
        thread.join()
    assert ends == [WHOLE] * 40
    share = [fleet.completed(port) - before[port] for port in fleet.replicas]
    assert sum(share) == 40
    assert max(share) <= 24


def test_a_replica_that_is_killed_costs_its_own_streams_alone(fleet: Fleet) -> None:
    """Their clients see that they are cut; the next 30 requests all succeed; it serves again once it is back."""
    port, killed = next(iter(fleet.replicas.items()))
    ends, threads = fleet.streams(16, 1500)
    wait_for(lambda: sum(map(fleet.running, fleet.replicas)) == 16)
    os.kill(killed.process.pid, signal.SIGKILL)
    assert [fleet.stream(4) for _ in range(30)] == [WHOLE] * 30
    for thread in threads:
        thread.join()
    assert 0 < ends.count(CUT) < 16
    assert ends.count(CUT) + ends.count(WHOLE) == 16
    wait_for(lambda: get(port, "/health") is not None)
    wait_for(lambda: fleet.stream(2) == WHOLE and fleet.completed(port) > 0)


def test_compose_and_units_start_the_same() -> None:
    """The router with the same options, but for the names of hosts, and replicas with the same policy."""
    compose = (UNITS / "compose.yaml").read_text(encoding="utf-8")
    unit = (UNITS / "aptsched-router.service").read_text(encoding="utf-8")
    commands = [text.split("vllm-router --host ")[1] for text in (compose, unit)]
    options = [re.findall(r"--[a-z-]+(?: (?:power_of_two|\d+)(?=\s))?", command) for command in commands]
    assert len(options[0]) > 9
    assert options[0] == options[1]
    assert '"shed(sarathi)"' in compose
    assert '"POLICY=shed(sarathi)"' in (UNITS / "aptsched@.service").read_text(encoding="utf-8")
