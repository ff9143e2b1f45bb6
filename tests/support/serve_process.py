"""`aptsched serve` as a process of its own, on a tiny model."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from live import MOST_S

SERVES = re.compile(r"serving .* at http://127\.0\.0\.1:(\d+)")


@dataclass
class ServeProcess:
    """A server that runs, and what it has said on stderr."""

    process: subprocess.Popen[str]
    port: int
    said: list[str]
    reader: threading.Thread

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    def end(self, number: int = signal.SIGTERM) -> int:
        """Its exit code, once it has ended by that signal; what it said is complete then."""
        self.process.send_signal(number)
        code = self.process.wait(MOST_S)
        self.reader.join(MOST_S)
        return code


@contextmanager
def serve_process(model: str | Path, *options: str, port: int = 0) -> Iterator[ServeProcess]:
    """The command, once it accepts requests; killed at the end if it runs still."""
    given = ["--model", str(model), "--port", str(port), "--rho", "0", "--threads", "1", *options]
    command, environment = [sys.executable, "-m", "aptsched", "serve", *given], os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    assert process.stderr is not None
    said, ports, lines, ready = list[str](), list[int](), process.stderr, threading.Event()

    def read() -> None:
        for line in lines:
            said.append(line)
            if found := SERVES.search(line):
                ports.append(int(found[1]))
                ready.set()
        ready.set()

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        assert ready.wait(MOST_S) and ports, said
        yield ServeProcess(process, ports[0], said, reader)
    finally:
        process.kill()
        process.wait()
        reader.join(MOST_S)
        lines.close()
