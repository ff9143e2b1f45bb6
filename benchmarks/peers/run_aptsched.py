"""Our simulator, as its command runs it: `aptsched simulate --json`."""

from __future__ import annotations

import contextlib
import io
import json
import sys

from benchmarks.peers.protocol import Answer, Fields, serve


def simulated(question: Fields) -> Fields:
    """Run the command with the arguments given: iterations, and what it predicts."""
    from aptsched.__main__ import main

    printed = io.StringIO()
    sys.argv = ["aptsched", "simulate", *question["arguments"], "--json"]
    with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        main()
    (figures,) = json.loads(printed.getvalue())["summary"]
    return {
        "iterations": figures["num_iterations"],
        "finished": figures["num_finished"],
        "ttft_s": [figures["ttft"]["median_s"], figures["ttft"]["p99_s"]],
        "tpot_s": figures["tbt"]["median_s"],
    }


def load(_: Fields) -> tuple[str, Answer]:
    """Nothing is imported before the run."""
    return "", simulated


if __name__ == "__main__":
    serve("aptsched", load)
