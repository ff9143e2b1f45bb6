"""A server that is killed: its clients see that, and one that is started in its place serves."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import httpx2
import pytest

from live import MOST_S
from serve_process import ServeProcess, serve_process
from tiny_model import OPT, save_model

# Three iterations are served, and none after them: a request is under way for as long as a test needs.
POLICY = """
import time
from aptsched.policies.fcfs import FCFS

class Stuck:
    num_decisions = 0

    def decide(self, view):
        self.num_decisions += 1
        if self.num_decisions > 3:
            time.sleep(1000)
        return FCFS().decide(view)
"""


def first_piece(lines: list[str], served: ServeProcess) -> None:
    """Kills the server once a client has a piece of its stream; the client sees that it is cut."""
    body = {"prompt": "ab", "max_tokens": 50, "stream": True}
    with httpx2.stream("POST", f"{served.url}/v1/completions", json=body, timeout=MOST_S) as response:
        for line in response.iter_lines():
            lines.append(line)
            if len(lines) == 1:
                served.process.kill()


@pytest.mark.slow
def test_a_server_that_was_killed_is_replaced(tmp_path: Path) -> None:
    """Its stream ends in an error, its port is free at once, and the next server on it serves and ends well."""
    model = save_model(tmp_path / "model", OPT)
    (tmp_path / "stuck.py").write_text(POLICY)
    options = ("--policy", f"{tmp_path / 'stuck.py'}:Stuck", "--num-blocks", "40")
    lines: list[str] = []
    with serve_process(model, *options) as served:
        with pytest.raises(httpx2.TransportError):
            first_piece(lines, served)
        assert served.process.wait(MOST_S) == -signal.SIGKILL
        port = served.port
    assert json.loads(lines[0].removeprefix("data: "))["choices"] and "data: [DONE]" not in lines
    with serve_process(model, *options, port=port) as again:
        answer = httpx2.post(f"{again.url}/v1/completions", json={"prompt": "ab", "max_tokens": 2}, timeout=MOST_S)
        assert answer.status_code == 200 and answer.json()["usage"]["completion_tokens"] == 2
        assert again.end() == 0
        assert [line for line in again.said if "Traceback" in line] == []
