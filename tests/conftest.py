"""Settings of every test, and what tests measured, printed at the end of the run."""

from __future__ import annotations

import pytest
from hypothesis import settings

settings.register_profile("aptsched", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("aptsched")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the ratios that tests recorded with `record_property("ratio", line)`, also under xdist."""
    lines = [
        line
        for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed")
        if report.when == "call"
        for name, line in report.user_properties
        if name == "ratio"
    ]
    if lines:
        terminalreporter.section("optimum / greedy, worst found")
        for line in lines:
            terminalreporter.write_line(str(line))
