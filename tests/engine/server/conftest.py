"""One server for the tests that leave it as it was."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from http_server import Served, serving


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """First come, first served, with 64 places; nothing is left in it at the end."""
    with serving() as server:
        yield server
        server.check_idle()
