"""Tests of several machines' parts, which `make fleet` runs: elsewhere there is no router and no Dask."""

from __future__ import annotations

from importlib.util import find_spec

NEEDED = {"test_dask.py": "distributed", "test_router.py": "vllm_router"}
collect_ignore = [file for file, package in NEEDED.items() if find_spec(package) is None]
