"""Results that the tests of the checker damage copies of."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import results


@pytest.fixture(scope="session")
def originals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A directory of a run and one of a gap study, which no test changes."""
    made = tmp_path_factory.mktemp("results")
    return {"run": results.simulated(made), "gap": results.studied(made)}


@pytest.fixture
def run(originals: dict[str, Path], tmp_path: Path) -> Path:
    """A copy of the run's."""
    return shutil.copytree(originals["run"], tmp_path / "run")
