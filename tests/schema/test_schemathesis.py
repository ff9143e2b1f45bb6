"""What schemathesis draws from the server's own schema is answered as the schema says, and refused where it says so."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import pytest

from serve_process import serve_process
from tiny_model import OPT, save_model

CONTEXT = 1024  # beyond any prompt that is drawn, for a schema does not know how long the context is


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_schemathesis_finds_nothing(tmp_path: Path, seed: int) -> None:
    """In all its checks and phases; no request is left, nothing is said on stderr, and the server ends well."""
    model = save_model(tmp_path / "model", {**OPT, "max_position_embeddings": CONTEXT}, chat=True)
    program = Path(sys.executable).with_name("schemathesis")
    assert shutil.which(program) is not None
    with serve_process(model, "--policy", "sarathi", "--num-blocks", "1000") as served:
        given = ["--exclude-path", "/live/events", "--request-timeout", "120", "--warnings", "off", "--seed", str(seed)]
        command = [str(program), "run", f"{served.url}/openapi.json", *given, "--max-examples", "100", "--no-shrink"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-20_000:]
        with urlopen(f"{served.url}/metrics") as answer:
            figures = answer.read().decode()
        assert 'vllm:num_requests_running{model_name="model"} 0.0' in figures
        assert served.end() == 0
        assert [line for line in served.said if "serving" not in line] == []
