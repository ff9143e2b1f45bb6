"""Matrix products as fast as the device has them."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F

from engine.models.weights import Linear

Multiply = Callable[[torch.Tensor], torch.Tensor]


def multiply(linear: Linear, activation: str = "none") -> Multiply:
    """A function from x, [t, in], to activation(x weight^T + bias), [t, out]; activation is "none" or "relu".

    In fp32 on a CPU the weight is packed once for oneDNN, and the caller should let go of the plain one: with 2 to 64
    rows, as a decode has, a packed product takes half the time of `torch.nn.functional.linear`.
    """
    weight, bias = linear.weight, linear.bias
    if weight.device.type == "cpu" and weight.dtype == torch.float32 and torch._C._has_mkldnn:
        packed = torch.ops.mkldnn._reorder_linear_weight(weight)
        product = torch.ops.mkldnn._linear_pointwise.default

        def with_packed(x: torch.Tensor) -> torch.Tensor:
            result: torch.Tensor = product(x, packed, bias, activation, [], "")
            return result

        return with_packed
    if activation == "relu":
        return lambda x: F.linear(x, weight, bias).relu_()
    return lambda x: F.linear(x, weight, bias)
