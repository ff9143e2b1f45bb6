"""`aptsched list`: what there is by name."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from aptsched.cli.base import app

Rows = Iterable[tuple[str, ...]]


@app.command("list")
def listing() -> None:
    """Show policies, models, GPUs, workloads and methods.

    \b
    Example:
      aptsched list
    """  # noqa: D301
    from aptsched.report import table
    from aptsched.report.table import Column, Section

    parts: tuple[tuple[tuple[str, ...], Rows], ...] = (
        (("policy", "rule"), _policies()),
        (("model", "weights", "context", "hidden/KV"), _models()),
        (("GPU", "TFLOP/s", "GB/s", "GiB", "PCIe GB/s"), _gpus()),
        (("workload", "requests"), _workloads()),
        (("method", "guarantee"), _methods()),
    )
    for names, rows in parts:
        columns = [Column(names[0], left=True, min_width=14)]
        columns += [Column(name, left=len(names) == 2, min_width=8) for name in names[1:]]
        table.show(columns, [Section("", list(rows))], [], sys.stdout)


def _first_line(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0]


def _policies() -> Rows:
    from aptsched.policies.load import built_in

    return ((name, _first_line(policy.__doc__)) for name, policy in built_in().items())


def _models() -> Rows:
    from engine.cost.shapes import MODELS

    return (
        (name, f"{shape.weight_bytes / 1e9:.1f} GB", str(shape.max_positions), f"{float(shape.cache_ratio):g}")
        for name, shape in MODELS.items()
    )


def _gpus() -> Rows:
    from engine.cost.gpus import GIB, GPUS

    return (
        (
            name,
            f"{gpu.flops_per_s / 1e12:g}",
            f"{gpu.bandwidth_bytes_per_s / 1e9:g}",
            f"{gpu.memory_bytes / GIB:.1f}",
            f"{gpu.pcie_bytes_per_s / 1e9:g}",
        )
        for name, gpu in GPUS.items()
    )


def _workloads() -> Rows:
    from aptsched.workload import WORKLOADS

    return ((name, workload.description) for name, workload in WORKLOADS.items())


def _methods() -> Rows:
    from solvers.methods import METHODS

    return ((method.name, method.promise.replace("{d+1}", "(d+1)")) for method in METHODS.values())
