"""What schemathesis draws from the server's own schema is answered as the schema says, and refused where it says so."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from live import wait_until
from serve_process import ServeProcess, serve_process
from tiny_model import OPT, save_model

CONTEXT = 1024  # beyond any prompt that is drawn, for a schema does not know how long the context is
EVENTS, LOAD = "/live/events", "/live/load"
OPTIONS = ("--request-timeout", "120", "--warnings", "off", "--max-examples", "100", "--no-shrink")
IN_SERVER = re.compile(r"^vllm:num_requests_(?:running|waiting)\S* (\S+)$", re.MULTILINE)


def check(served: ServeProcess, folder: Path, seed: int, *paths: str) -> None:
    """Has schemathesis draw requests to these paths; it finds nothing."""
    program = str(Path(sys.executable).with_name("schemathesis"))
    command = [program, "run", f"{served.url}/openapi.json", *paths, "--seed", str(seed), *OPTIONS]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-20_000:]


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_schemathesis_finds_nothing(tmp_path: Path, seed: int) -> None:
    """In all its checks and phases; no request is left, nothing is said on stderr, and the server ends well.

    Requests that the server sends itself come last, as they would take the places of others.
    """
    model = save_model(tmp_path / "model", {**OPT, "max_position_embeddings": CONTEXT}, chat=True)
    with serve_process(model, "--policy", "sarathi", "--num-blocks", "1000") as served:
        check(served, tmp_path, seed, "--exclude-path", EVENTS, "--exclude-path", LOAD)
        check(served, tmp_path, seed, "--include-path", LOAD)
        assert httpx2.post(served.url + LOAD, json={"rate_per_s": 0}).status_code == 204
        wait_until(lambda: sum(map(float, IN_SERVER.findall(httpx2.get(f"{served.url}/metrics").text))) == 0)
        assert served.end() == 0
        assert [line for line in served.said if "serving" not in line] == []
