"""`aptsched list`: everything that is given by name."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from aptsched.cli.base import app
from aptsched.cli.policies import SELECT

Rows = Iterable[tuple[str, ...]]
ANY_MODEL = (
    "Any other decoder-only model, dense or with experts, is simulated from its config.json: --model FILE, or the "
    "directory of the file."
)


@app.command("list")
def listing() -> None:
    """Show policies, models, GPUs, workloads and methods.

    \b
    Example:
      aptsched list
    """  # noqa: D301
    from aptsched.policies.catalogue import SYNTAX
    from aptsched.report import table
    from aptsched.report.table import Column, Section

    parts: tuple[tuple[tuple[str, ...], Rows, str], ...] = (
        (("policy", "rule"), _policies(), SYNTAX),
        (("model", "weights", "context", "hidden/KV"), _models(), ANY_MODEL),
        (("GPU", "TFLOP/s", "in fp8", "GB/s", "GiB", "PCIe GB/s", "link GB/s"), _gpus(), _fits()),
        (("workload", "requests"), _workloads(), ""),
        (("method", "guarantee"), _methods(), ""),
    )
    for names, rows, note in parts:
        columns = [Column(names[0], left=True, min_width=14)]
        columns += [Column(name, left=len(names) == 2, min_width=8) for name in names[1:]]
        table.show(columns, [Section("", list(rows))], [note, ""] if note else [], sys.stdout)


def _policies() -> Rows:
    from aptsched.policies.catalogue import catalogue

    return ((entry.name, entry.text) for entry in catalogue(SELECT))


def _models() -> Rows:
    from engine.models.known_models import MODELS

    return (
        (
            name,
            f"{config.weight_bytes(2) / 1e9:.1f} GB",
            str(config.max_positions),
            f"{float(config.cache_ratio):g}",
        )
        for name, config in MODELS.items()
    )


def _gpus() -> Rows:
    from engine.simulator.gpus import GIB, GPUS

    return (
        (
            name,
            f"{gpu.flops_per_s / 1e12:g}",
            f"{gpu.fp8_flops_per_s / 1e12:g}" if gpu.fp8_flops_per_s else "-",
            f"{gpu.bandwidth_bytes_per_s / 1e9:g}",
            f"{gpu.memory_bytes / GIB:.1f}",
            f"{gpu.pcie_bytes_per_s / 1e9:g}",
            f"{gpu.link_bytes_per_s / 1e9:g}",
        )
        for name, gpu in GPUS.items()
    )


def _fits() -> str:
    from engine.simulator.fits import DISTSERVE, MEASURED_ON

    fitted = ", ".join(f"{name} on {num_gpus}" for name, num_gpus in DISTSERVE)
    return (
        f"Published fits, by DistServe, were measured on {MEASURED_ON}: {fitted}. On "
        "a100-40gb reads of memory take longer by the ratio of bandwidths; every other model or GPU is by roofline."
    )


def _workloads() -> Rows:
    from aptsched.workload import WORKLOADS

    return ((name, workload.description) for name, workload in WORKLOADS.items())


def _methods() -> Rows:
    from solvers.methods import METHODS

    return ((method.name, method.promise.replace("{d+1}", "(d+1)")) for method in METHODS.values())
