"""Tests in Chromium, which `make browser` runs: elsewhere there is no Playwright, and they are not collected."""

from __future__ import annotations

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("playwright") else ["test_*.py"]
