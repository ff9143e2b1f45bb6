"""How a peer is asked: JSON, a line a question, on its stdin, and a line an answer on its stdout.

This half runs in the peer's own interpreter, where nothing of ours is installed: it needs the standard library alone.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any, TypeVar

Fields = dict[str, Any]
Answer = Callable[[Fields], Fields]  # from a question
Result = TypeVar("Result")
ENOUGH_S = 1.0  # calls that have taken so long together are not repeated


def serve(package: str, load: Callable[[Fields], tuple[str, Answer]]) -> None:
    """Answer questions until stdin ends.

    The first line is the job, from which `load` gives the version of the peer and the function that answers; the first
    reply is {"version": ...}, or {"missing": package} if that package is not installed. What the peer prints goes to
    stderr. Any other exception ends the process with its traceback on stderr.
    """
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)

    def reply(fields: Fields) -> None:
        replies.write(json.dumps(fields) + "\n")

    job = json.loads(sys.stdin.readline())
    try:
        version, answer = load(job)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != package:
            raise
        reply({"missing": package})
        return
    reply({"version": version})
    for line in sys.stdin:
        reply(answer(json.loads(line)))


def fastest(call: Callable[[], Result], max_calls: int) -> tuple[float, Result]:
    """Seconds of the fastest of several calls, two or more as the first may compile; and what the last one returned."""
    seconds: list[float] = []
    while len(seconds) < min(2, max_calls) or (len(seconds) < max_calls and sum(seconds) < ENOUGH_S):
        started = time.perf_counter()
        result = call()
        seconds.append(time.perf_counter() - started)
    return min(seconds), result
