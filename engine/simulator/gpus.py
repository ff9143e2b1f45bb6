"""GPUs by name, with the figures of their data sheets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from aptsched.support.errors import InputError
from aptsched.support.shown import shown
from engine.simulator.efficiency import Efficiency

GIB = 2**30
MAX_NAME = 60
MAX_VALUE = 1e30
RATES = ("flops_per_s", "bandwidth_bytes_per_s", "memory_bytes", "pcie_bytes_per_s", "link_bytes_per_s")


@dataclass(frozen=True)
class GPU:
    """The peak rates and the memory of a GPU.

    Attributes
    ----------
    name : str
    flops_per_s : float
        Dense 16-bit floating-point operations of the tensor cores.
    bandwidth_bytes_per_s : float
        Bandwidth of its memory.
    memory_bytes : float
        As its driver reports it, up to a few percent less than the name says; drivers differ by about a percent.
    pcie_bytes_per_s : float
        Bandwidth to the host, in one direction.
    link_bytes_per_s : float
        Bandwidth to the other GPUs, in one direction: by NVLink or Infinity Fabric where there is one, else by PCIe.
    fp8_flops_per_s : float
        Dense fp8 operations; 0 where there are none.
    price_per_hour : float or None
        In any currency.
    efficiency : Efficiency
        Shares of the peaks that are reached.
    """

    name: str
    flops_per_s: float
    bandwidth_bytes_per_s: float
    memory_bytes: float
    pcie_bytes_per_s: float
    link_bytes_per_s: float
    fp8_flops_per_s: float = 0.0
    price_per_hour: float | None = None
    efficiency: Efficiency = field(default_factory=Efficiency)

    def __post_init__(self) -> None:
        if not (isinstance(self.name, str) and self.name.isprintable() and 0 < len(self.name) <= MAX_NAME):
            raise InputError(f"name: {shown(self.name)} of a GPU is not accepted; up to {MAX_NAME} letters are")
        for name in RATES:
            self._check(name, f"a number from 1 to {MAX_VALUE:g}", 1)
        self._check("fp8_flops_per_s", "0 or a number up to 1e+30", 0)
        if self.price_per_hour is not None:
            self._check("price_per_hour", "a number from 0 to 1e+30", 0)
        if not isinstance(self.efficiency, Efficiency):
            raise InputError(f"efficiency: {shown(self.efficiency)} of GPU {self.name} is not accepted; a table is")

    def _check(self, name: str, accepted: str, least: float) -> None:
        value = getattr(self, name)
        if not (type(value) in (int, float) and least <= value <= MAX_VALUE):
            raise InputError(f"{name}: {shown(value)} of GPU {self.name} is not accepted; {accepted} is")


# Sources: docs/hardware.md. PCIe carries 32 GB/s in a direction with 16 lanes of generation 4, 64 of generation 5.
GPUS: Mapping[str, GPU] = MappingProxyType(
    {
        gpu.name: gpu
        for gpu in (
            GPU("a100-40gb", 312e12, 1555e9, 39.39 * GIB, 32e9, 300e9),
            GPU("a100-80gb", 312e12, 2039e9, 79.15 * GIB, 32e9, 300e9),
            GPU("h100", 989e12, 3350e9, 79.11 * GIB, 64e9, 450e9, 1979e12),
            GPU("h100-pcie", 756e12, 2000e9, 79.11 * GIB, 64e9, 64e9, 1513e12),
            GPU("h200", 989e12, 4800e9, 139.8 * GIB, 64e9, 450e9, 1979e12),
            GPU("b200", 2250e12, 8000e9, 178.3 * GIB, 64e9, 900e9, 4500e12),
            GPU("l4", 121e12, 300e9, 22.03 * GIB, 32e9, 32e9, 242e12),
            GPU("l40s", 362e12, 864e9, 44.4 * GIB, 32e9, 32e9, 733e12),
            GPU("a10g", 70e12, 600e9, 22.06 * GIB, 32e9, 32e9),
            GPU("mi300x", 1307e12, 5300e9, 191.7 * GIB, 64e9, 448e9, 2614e12),
        )
    }
)
