"""Starts what a systemd unit of `examples/fleet` says, and again when it ends, as systemd does."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

UNITS = Path(__file__).parents[2] / "examples" / "fleet"


def command_of(unit: str, instance: str, environment: Mapping[str, str], replaced: Mapping[str, str]) -> list[str]:
    """The words of a unit's ExecStart, with its variables, and other texts in place of some.

    The program is that of the environment in which this runs, for which the unit has a folder of its own.
    """
    text = (UNITS / unit).read_text(encoding="utf-8")
    found = re.search(r"^ExecStart=(.*)$", text, re.MULTILINE)
    assert found is not None
    line = found[1].replace("%i", instance)
    for old, new in replaced.items():
        line = line.replace(old, new)
    words = []
    for word in line.split():
        if whole := re.fullmatch(r"\$\{(\w+)\}", word):
            words.append(environment[whole[1]])
        elif several := re.fullmatch(r"\$(\w+)", word):
            words += shlex.split(environment[several[1]])
        else:
            words.append(word)
    program = Path(sys.executable).parent / Path(words[0]).name
    return [str(program), *words[1:]]


@dataclass
class Running:
    """A command that is started anew a second after it has ended, until `stop`; what it says goes to a file."""

    command: list[str]
    log: Path
    process: subprocess.Popen[bytes] = field(init=False)

    def __post_init__(self) -> None:
        self._stopped = threading.Event()
        self._start()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=log)

    def _watch(self) -> None:
        while not self._stopped.is_set():
            self.process.wait()
            if not self._stopped.wait(1.0):
                self._start()

    def stop(self) -> None:
        """Ends it for good."""
        self._stopped.set()
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self._thread.join(5)
