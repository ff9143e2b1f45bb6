"""The matrices of K and V, as plain numbers."""

from __future__ import annotations

import math

import torch

from engine.models.decoder import Decoder
from engine.models.weights import Linear

LARGEST_SCALE = 2.0**30


def projections(decoder: Decoder, layer: int) -> tuple[Linear, Linear]:
    """The projections to K and to V of a layer, before RoPE, in float64; no bias where it is 0.

    Packed weights cannot be read, so they are found from K and V of unit inputs at position 0, where RoPE turns by
    nothing. Inputs are scaled up by a power of two, and results down, as far as the dtype goes: what rounding loses of
    a weight is at most the bias over that power, and nothing without a bias.
    """
    hidden_size = decoder.config.hidden_size
    unit = torch.eye(hidden_size, dtype=decoder.dtype, device=decoder.device)
    positions = torch.zeros(hidden_size, dtype=torch.int64, device=decoder.device)

    def k_and_v(hidden: torch.Tensor) -> torch.Tensor:
        """K without RoPE and V, [2, t, values of each]."""
        found = decoder.keys_and_values(layer, hidden, positions[: len(hidden)])
        return found.flatten(2).transpose(0, 1).double()

    bias = k_and_v(0 * unit[:1])[:, 0]
    largest = float((k_and_v(unit) - bias[:, None]).abs().max())
    room = torch.finfo(decoder.dtype).max / 4 / largest if 0 < largest < math.inf else 1.0
    scale = 2.0 ** math.floor(math.log2(min(room, LARGEST_SCALE)))
    weights = (k_and_v(scale * unit) - bias[:, None]).transpose(1, 2) / scale
    key, value = (Linear(weight, each if each.any() else None) for weight, each in zip(weights, bias, strict=True))
    return key, value
