"""A peer in a process of its own, run by its own interpreter: started, asked in turn with others, ended."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.peers.protocol import Fields

ROOT = Path(__file__).parents[2]  # where `benchmarks` is found
HELP = "docs/peers.md says how to get it"
MAX_FAULT = 200  # characters


@dataclass(frozen=True)
class Adapter:
    """How a peer is run.

    Attributes
    ----------
    name : str
        As tables and messages have it.
    python : str
        Path of its interpreter.
    module : str
        The module of `benchmarks.peers` that runs there.
    job : dict
        What that module is told first.
    environment : mapping of str
        Variables of its process beside ours.
    """

    name: str
    python: str
    module: str
    job: Fields = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)


class Peer:
    """A running adapter, stopped while it is not asked, so that it takes nothing from the others.

    What goes wrong with it is a line, not an exception: from then on it has no answers.

    Attributes
    ----------
    adapter : Adapter
    version : str
        Of the peer; empty if it did not start.
    fault : str or None
        Why it has no answers.
    """

    def __init__(self, adapter: Adapter, timeout_s: float) -> None:
        self.adapter, self.version = adapter, ""
        self.fault: str | None = None
        self._timeout_s, self._unread = timeout_s, b""
        self._said = tempfile.TemporaryFile()  # noqa: SIM115  # what it prints; closed with the process
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self._process = self._started()
        except OSError as error:
            self.fault = f"{adapter.python} cannot be run ({error.strerror}); {HELP}"
            return
        try:
            first = self.ask(adapter.job)
        except BaseException:  # Ctrl-C while it starts
            self._end("stopped")
            raise
        if first and "missing" in first:
            self._end(f"not found; {HELP}")
        elif first:
            self.version = first["version"]

    def _started(self) -> subprocess.Popen[bytes]:
        command = [self.adapter.python, "-m", f"benchmarks.peers.{self.adapter.module}"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), **self.adapter.environment}
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._said,
            env=environment,
            start_new_session=True,  # Ctrl-C is ours, and its own processes end with it
        )

    def ask(self, question: Fields) -> Fields | None:
        """The answer; None if there is none, and `fault` says why."""
        if self.fault is not None or self._process is None:
            return None
        assert self._process.stdin is not None
        self._signal(signal.SIGCONT)
        try:
            self._process.stdin.write(json.dumps(question).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            self._end(f"failed: {self._last_words()}")
            return None
        line = self._line()
        if line is None:
            self._end(f"no answer within {self._timeout_s:g} s")
        elif not line:
            self._end(f"failed: {self._last_words()}")
        else:
            self._signal(signal.SIGSTOP)
            answer: Fields = json.loads(line)
            return answer
        return None

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)

    def _line(self) -> bytes | None:
        """The next line of its stdout: empty at the end, None if it does not come in time."""
        assert self._process is not None and self._process.stdout is not None
        until = time.monotonic() + self._timeout_s
        while b"\n" not in self._unread:
            left_s = until - time.monotonic()
            if left_s <= 0 or not select.select([self._process.stdout], [], [], left_s)[0]:
                return None
            read = os.read(self._process.stdout.fileno(), 2**16)
            if not read:
                return b""
            self._unread += read
        line, _, self._unread = self._unread.partition(b"\n")
        return line

    def _last_words(self) -> str:
        """The last line that it printed."""
        self._said.seek(0)
        lines = self._said.read().decode(errors="replace").split("\n")
        return next((line.strip()[:MAX_FAULT] for line in reversed(lines) if line.strip()), "it said nothing")

    def _end(self, fault: str) -> None:
        self.fault = fault
        self.close()

    def close(self) -> None:
        """Ends the process, and those that it started."""
        process = self._process
        if process is None:
            return
        assert process.stdin is not None and process.stdout is not None
        with contextlib.suppress(OSError):
            process.stdin.close()
        if self.fault is None:
            self._signal(signal.SIGCONT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=10)
        self._signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        self._said.close()
        self._process = None

    def __enter__(self) -> Peer:
        """Itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Ends it."""
        self.close()
