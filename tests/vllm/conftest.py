"""Tests inside vLLM, which `make vllm` runs: elsewhere there is none, and they are not collected."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

collect_ignore_glob = [] if find_spec("vllm") else ["test_*.py"]

OWN_POLICIES = """
import numpy as np
from random_policy import RandomPolicy
from aptsched.scheduling.plan import Plan

random = RandomPolicy(np.random.default_rng(5))
rejecting = RandomPolicy(np.random.default_rng(6), reject_share=0.01)

class Nobody:
    def decide(self, view):
        return Plan()

class Failing:
    def decide(self, view):
        raise RuntimeError("on purpose")
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those with a real model go first: vLLM 0.32 makes no worker in a process that has llvmlite, which others bring.

    When it takes over kernels it looks at all that modules name, and one of llvmlite's objects has every attribute that
    it is asked for.
    """
    items.sort(key=lambda item: item.path.name != "test_tokens.py")


@pytest.fixture
def own_policies(tmp_path: Path) -> Path:
    """A file of policies: `random`, `rejecting`, `Nobody` and `Failing`."""
    path = tmp_path / "own.py"
    path.write_text(OWN_POLICIES, encoding="utf-8")
    return path
