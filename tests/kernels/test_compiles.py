"""Kernels are not only interpreted: each compiles to machine code for the GPUs that they are made for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("triton")

SCRIPT = Path(__file__).parents[1] / "support" / "compiled_kernels.py"
A100, H100 = (80, 163 * 1024), (90, 227 * 1024)  # capability, and bytes of shared memory that a program may have


@pytest.mark.skipif(sys.platform != "linux", reason="Triton compiles for CUDA on Linux alone")
@pytest.mark.parametrize(("gpu", "dtype"), [(A100, "fp16"), (H100, "bf16")], ids=["A100, fp16", "H100, bf16"])
def test_every_kernel_compiles_and_fits(gpu: tuple[int, int], dtype: str, tmp_path: Path) -> None:
    """In OPT-13B's sizes, without a GPU; the shared memory of a program is within what the GPU has."""
    capability, most_bytes = gpu
    env = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    env["TRITON_CACHE_DIR"] = str(tmp_path)
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(capability), dtype], env=env, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr[-3000:]
    shared = [int(line.split()[1]) for line in done.stdout.splitlines()]
    assert len(shared) == 12
    assert max(shared) <= most_bytes
