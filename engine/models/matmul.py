"""Matrix products, with packed weights on a CPU for speed."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F

from engine.models.weights import Linear

Multiply = Callable[[torch.Tensor], torch.Tensor]
STEPS = 8  # how many numbers of rows between one power of two and the next have kernels
KERNEL_BYTES = 2**20  # of one kernel: 0.55 to 0.85 MiB was measured, and the heap has gaps between them


def multiply(linear: Linear, activation: str = "none") -> Multiply:
    """A function from x, [t, in], to activation(x weight^T + bias), [t, out]; activation is "none" or "relu".

    Where `packs` says so, the weight is packed once for oneDNN, and the caller should drop the plain one: with 2 to 64
    rows, as in a decode, a packed product takes 0.5 to 0.9 of the time of `torch.nn.functional.linear`. oneDNN makes a
    kernel of `KERNEL_BYTES` for each number of rows and keeps it, so rows are padded to one of few numbers.
    """
    weight, bias = linear.weight, linear.bias
    if packs(weight.device, weight.dtype):
        packed = torch.ops.mkldnn._reorder_linear_weight(weight)
        product = torch.ops.mkldnn._linear_pointwise.default

        def with_packed(x: torch.Tensor) -> torch.Tensor:
            rows = len(x)
            more = padded(rows) - rows
            result: torch.Tensor = product(F.pad(x, (0, 0, 0, more)) if more else x, packed, bias, activation, [], "")
            return result[:rows] if more else result

        return with_packed
    if activation == "relu":
        return lambda x: F.linear(x, weight, bias).relu_()
    return lambda x: F.linear(x, weight, bias)


def packs(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether products on this device, in this dtype, are made by oneDNN: on a CPU, in all that it can multiply."""
    if device.type != "cpu" or not torch._C._has_mkldnn:
        return False
    in_16_bits = {
        torch.bfloat16: torch.ops.mkldnn._is_mkldnn_bf16_supported,
        torch.float16: torch.ops.mkldnn._is_mkldnn_fp16_supported,
    }
    return dtype == torch.float32 or (dtype in in_16_bits and in_16_bits[dtype]())


def padded(rows: int) -> int:
    """The next number of rows for which there is a kernel: at most an eighth more."""
    step = max(1, (1 << max(rows - 1, 0).bit_length()) // (2 * STEPS))
    return -(-rows // step) * step


def kernel_rows(most: int) -> list[int]:
    """All numbers of rows for which up to `most` rows have kernels."""
    return sorted({padded(rows) for rows in range(1, most + 1)})
