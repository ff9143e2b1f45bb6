"""Settings of every test, and what tests measured, printed at the end of the run."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # as in the background of a shell, and so in what tests start
    signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("aptsched", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("aptsched")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests recorded with `record_property`, also under xdist: each "ratio", and the sum of "instances"."""
    recorded = [
        entry
        for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed")
        if report.when == "call"
        for entry in report.user_properties
    ]
    lines = [str(line) for name, line in recorded if name == "ratio"]
    if lines:
        terminalreporter.section("optimum / greedy, worst found")
        for line in lines:
            terminalreporter.write_line(line)
    num_instances = sum(count for name, count in recorded if name == "instances")
    if num_instances:
        terminalreporter.write_line(f"random instances checked against enumeration: {num_instances:,}")


@pytest.fixture
def as_in_a_terminal() -> Iterator[None]:
    """Ctrl-C raises, also where the tests were started with the signal ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
