"""What the device can do at most, measured here: bytes a second, and operations a second in the dtype of the models."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from benchmarks.gpu.rig import Rig
from benchmarks.tables import Row


@dataclass(frozen=True)
class Peaks:
    """Bytes of memory a second, and floating-point operations a second."""

    bytes_per_s: float
    flops_per_s: float

    def least_s(self, num_bytes: float, num_flops: float) -> float:
        """The roofline: seconds that so many bytes, or so many operations, take at least."""
        return max(num_bytes / self.bytes_per_s, num_flops / self.flops_per_s)


def peaks(rig: Rig) -> Peaks:
    """By a copy within the device's memory, and a product of square matrices."""
    values = torch.empty(rig.size(2**29, 2**20), dtype=torch.float32, device=rig.device)
    copied = torch.empty_like(values)
    copy_s = rig.seconds(lambda: copied.copy_(values))
    side = rig.size(8192, 128)
    left, right = (torch.randn(side, side, device=rig.device).to(rig.dtype) for _ in range(2))
    product = torch.empty_like(left)
    product_s = rig.seconds(lambda: torch.mm(left, right, out=product))
    return Peaks(2 * values.numel() * values.element_size() / copy_s, 2 * side**3 / product_s)


def peaks_row(found: Peaks) -> Row:
    """The row that says them."""
    return {"what": "peaks", "gb_per_s": found.bytes_per_s / 1e9, "tflop_per_s": found.flops_per_s / 1e12}
