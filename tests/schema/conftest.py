"""Tests that `make schema` runs: elsewhere there is no schemathesis."""

from __future__ import annotations

from importlib.util import find_spec

collect_ignore = [] if find_spec("schemathesis") else ["test_schemathesis.py"]
