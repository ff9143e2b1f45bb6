"""A simulation of several processes that is stopped from outside, each of whose policies says when it decides."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

# Serves as Apt-Serve does, so that a log is written; from its 30th decision on it says so, and never decides again.
POLICY = """
import os, time
from aptsched.policies.aptserve import AptServe

def say(text):
    with open({pipe!r}, "w") as pipe:
        pipe.write(text)

class {name}:
    num_decisions = 0

    def decide(self, view):
        self.num_decisions += 1
        if self.num_decisions < 30:
            return AptServe().decide(view)
        if self.num_decisions == 30:
            say(str(os.getpid()) + chr(10))
        time.sleep(1000)
        return AptServe().decide(view)

class Deaf{name}({name}):
    def decide(self, view):
        while True:
            try:
                return super().decide(view)
            except BaseException:
                say("deaf" + chr(10))
"""


@dataclass
class Simulation:
    """A command whose workers are stuck in a decision."""

    process: subprocess.Popen[str]
    workers: list[int]
    pipe: IO[str]
    out: Path

    def signal(self, number: int) -> tuple[int, str, str]:
        """Exit code, stdout and stderr once the process has had the signal."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=600)
        return self.process.returncode, out, err

    def wait_for_workers(self) -> None:
        """Until none of them is there; orphans have nobody who waits for them."""
        until_s = time.monotonic() + 120
        for worker in self.workers:
            while is_alive(worker):
                assert time.monotonic() < until_s, f"process {worker} does not end"
                os.sched_yield()


def is_alive(process: int) -> bool:
    """Whether there is such a process, and not only its exit code."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@contextmanager
def stuck_simulation(directory: Path, kind: str = "", done: str = "") -> Iterator[Simulation]:
    """Two policies that are stuck in two processes, in the middle of their logs, after the policies that are `done`.

    Of the kind "Deaf" they catch what interrupts them, say so, and are stuck again.
    """
    pipe, names = directory / "pipe", (f"{kind}First", f"{kind}Second")
    os.mkfifo(pipe)
    (directory / "stuck.py").write_text("".join(POLICY.format(name=n, pipe=str(pipe)) for n in ("First", "Second")))
    policies = [*filter(None, [done]), *(f"{directory}/stuck.py:{name}" for name in names)]
    work = ["--workload", "humaneval", "--num-requests", "20", "--rate", "3", "--jobs", "2"]
    command = [sys.executable, "-m", "aptsched", "simulate", *work, "--policy", *policies, "--out", f"{directory}/out"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        reader, keep_open = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK), os.open(pipe, os.O_WRONLY)
        os.set_blocking(reader, True)
        with os.fdopen(reader) as lines, os.fdopen(keep_open, "w"):
            workers = [int(lines.readline()) for _ in names]
            yield Simulation(process, workers, lines, directory / "out")
    finally:
        process.kill()
        process.communicate()
