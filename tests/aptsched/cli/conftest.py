"""A tiny model, and `aptsched run` on it."""

from __future__ import annotations

import pytest

from tiny_model import OPT, save_model


@pytest.fixture(scope="session")
def tiny_opt(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The directory of an OPT, which no test changes."""
    return save_model(tmp_path_factory.mktemp("models") / "opt", OPT)


@pytest.fixture(scope="session")
def quick_run(tiny_opt: str) -> list[str]:
    """A command on a small pool that takes about a second."""
    clipped = ["--max-prompt-tokens", "60", "--max-output-tokens", "20"]
    quick = ["--rho", "1e-5", "--threads", "1", "--num-requests", "12", "--rate", "200", "--num-blocks", "30"]
    return ["run", "--model", tiny_opt, "--workload", "sharegpt", *quick, *clipped]
