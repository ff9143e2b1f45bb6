"""Tests in Chromium, which `make browser` runs: elsewhere there is no Playwright, and they are not collected."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

import pytest

collect_ignore_glob = [] if find_spec("playwright") else ["test_*.py"]


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium."""
    from playwright.sync_api import sync_playwright

    from chromium import ARGUMENTS, PROGRAM

    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=PROGRAM, args=list(ARGUMENTS))
        yield found
        found.close()
