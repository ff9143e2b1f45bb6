"""What HTTP costs beside the engine: CPU time for each token of 32 streams.

    python -m benchmarks.serving [--streams 32] [--tokens 64] [--repeats 5] [--model smollm2] [--out bench-out]

The same prompts are completed by `Engine.generate` and by streams of a server in this process, in turn, whose clients
are a process of their own that reads and counts. CPU time is that of this process; of each side the fastest of the
repeats counts. Prints a table, writes serving.json, and never fails on a figure.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from aptsched.policies.fcfs import FCFS
from aptsched.report.document import machine
from aptsched.scheduling.record import SLO
from aptsched.support.files import write
from benchmarks.tables import Row, show
from engine.models.model import load_model
from engine.server.app import application
from engine.server.exposition import Exposition
from engine.server.live_routes import Live
from engine.server.live_view import LiveView
from engine.server.own_load import OwnLoad
from engine.server.service import Service
from engine.server.switched import Switched
from engine.server.uvicorn_server import UvicornServer, bound_socket
from engine.session.engine import Engine
from engine.state.sampling_params import SamplingParams
from engine.study.serving import NamedPolicy

PROMPT_TOKENS = 16
READY, GO = "ready\n", "go\n"
CLIENT = """
import json, socket, sys
from concurrent.futures import ThreadPoolExecutor
port, bodies = int(sys.argv[1]), json.loads(sys.stdin.readline())
def read(body):
    content = json.dumps(body).encode()
    head = "POST /v1/completions HTTP/1.1\\r\\nHost: a\\r\\nConnection: close\\r\\nContent-Type: application/json\\r\\n"
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(f"{head}Content-Length: {len(content)}\\r\\n\\r\\n".encode() + content)
        return b"".join(iter(lambda: connection.recv(65536), b"")).count(b"data: {")
print("ready", flush=True)
sys.stdin.readline()
with ThreadPoolExecutor(len(bodies)) as pool:
    print(sum(pool.map(read, bodies)), flush=True)
"""


@contextmanager
def server(engine: Engine, exposition: Exposition, switched: Switched) -> Iterator[int]:
    """The port of a server of the engine, in a thread."""
    listening = bound_socket("127.0.0.1", 0)
    made = list[UvicornServer]()

    async def run() -> None:
        service = Service(engine.session, "model", SLO(), 4096, exposition, np.random.default_rng(0))
        live = Live(LiveView(), service, OwnLoad(service, np.random.default_rng(0)), switched, False)
        made.append(UvicornServer(application(live), service, 1.0))
        await made[0].serve(sockets=[listening])

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    try:
        yield listening.getsockname()[1]
    finally:
        made[0].should_exit = True
        thread.join()


def cpu_s(call: Callable[[], object]) -> float:
    """CPU time of this process, all its threads, during a call."""
    started = time.process_time()
    call()
    return time.process_time() - started


def by_http(port: int, prompts: list[list[int]], num_tokens: int) -> float:
    """CPU time of this process while another one reads the streams."""
    given = {"max_tokens": num_tokens, "temperature": 0, "ignore_eos": True, "stream": True}
    client = subprocess.Popen(
        [sys.executable, "-c", CLIENT, str(port)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert client.stdin is not None and client.stdout is not None
    client.stdin.write(json.dumps([{"prompt": prompt, **given} for prompt in prompts]) + "\n")
    client.stdin.flush()
    assert client.stdout.readline() == READY
    client.stdin.write(GO)

    def read() -> None:
        client.stdin.flush()  # type: ignore[union-attr]
        num_pieces = int(client.stdout.readline())  # type: ignore[union-attr]
        assert num_pieces >= len(prompts)

    spent = cpu_s(read)
    client.communicate()
    return spent


def compare(model: str, num_streams: int, num_tokens: int, repeats: int) -> Row:
    """Seconds of CPU of both sides, in turn, and what a token costs more by HTTP."""
    torch.set_num_threads(1)
    exposition, switched = Exposition("model"), Switched([NamedPolicy("fcfs", FCFS)])
    loaded, made = load_model(model), list[Engine]()
    maker = threading.Thread(target=lambda: made.append(Engine(loaded, switched, num_blocks=1024, onlooker=exposition)))
    maker.start()
    maker.join()  # its thread is over: the session's own runs both sides
    (engine,) = made
    rng = np.random.default_rng(0)
    prompts = rng.integers(loaded.config.vocab_size, size=(num_streams, PROMPT_TOKENS)).tolist()
    params = SamplingParams(max_tokens=num_tokens, ignore_eos=True)
    sides = np.zeros((repeats + 1, 2))
    with server(engine, exposition, switched) as port:
        for repeat in range(repeats + 1):
            sides[repeat] = cpu_s(lambda: engine.generate(prompts, params)), by_http(port, prompts, num_tokens)
    engine_s, http_s = sides[1:].min(axis=0).tolist()
    more_ms = 1e3 * (http_s - engine_s) / (num_streams * num_tokens)
    return {"streams": num_streams, "ratio": http_s / engine_s, "ms_a_token": more_ms, "engine_s": engine_s}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--streams", type=int, default=32)
    parser.add_argument("--tokens", type=int, default=64)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--out", type=Path, default=Path("bench-out"))
    options = parser.parse_args()
    rows = [compare(options.model, options.streams, options.tokens, options.repeats)]
    show("CPU of a server, over that of Engine.generate", rows)
    options.out.mkdir(parents=True, exist_ok=True)
    write(options.out / "serving.json", json.dumps({"machine": machine(), "rows": rows}, indent=1).encode() + b"\n")


if __name__ == "__main__":
    main()
