"""Rotary position embedding: the angles by which a model turns its queries and keys, and how it does."""

from __future__ import annotations

import dataclasses
import math

import torch
import torch.nn.functional as F

from engine.models.config import ModelConfig
from engine.models.rope_scaling import RopeScaling

Angles = tuple[torch.Tensor, torch.Tensor]  # cosines and sines, [T, 1, head_dim / 2]


class Rope:
    """RoPE of a model; its table of angles is made once. Source: RoFormer (arXiv 2104.09864).

    Attributes
    ----------
    cos, sin : tensor, [max_positions, head_dim / 2]
    """

    def __init__(self, config: ModelConfig, device: torch.device, dtype: torch.dtype) -> None:
        at = torch.arange(config.max_positions, dtype=torch.float32, device=device)
        angles = torch.outer(at, inverse_frequencies(config, device))
        self.cos, self.sin = angles.cos().to(dtype), angles.sin().to(dtype)

    def angles(self, positions: torch.Tensor) -> Angles:
        """Those of tokens at their positions, [T]."""
        return F.embedding(positions, self.cos)[:, None], F.embedding(positions, self.sin)[:, None]


def turn(heads: torch.Tensor, angles: Angles, out: torch.Tensor | None = None) -> None:
    """Turns heads, [T, any, head_dim], by angles, in place or into `out` of the same shape."""
    cos, sin = angles
    first, second = heads.chunk(2, dim=-1)
    low, high = (None, second) if out is None else out.chunk(2, dim=-1)
    turned = torch.mul(first, cos, out=low)
    turned.addcmul_(second, sin, value=-1)
    torch.mul(second, cos, out=high).addcmul_(first, sin)
    if out is None:
        first.copy_(turned)


def inverse_frequencies(config: ModelConfig, device: torch.device | str = "cpu") -> torch.Tensor:
    """Radians a position, [head_dim / 2], float32.

    Dimension i of a head turns together with dimension i + head_dim / 2. Source: RoFormer (arXiv 2104.09864), equation
    15; the scalings as transformers computes them, to the last bit.
    """
    dim, scaling = config.head_dim, config.rope_scaling
    plain: torch.Tensor = 1.0 / (float(config.rope_theta) ** (torch.arange(0, dim, 2, dtype=torch.float32) / dim))
    if scaling is None:
        return plain.to(device)
    if scaling.kind == "linear":
        return (plain / float(scaling.factor)).to(device)
    if scaling.kind == "factors":
        return (plain / torch.tensor(scaling.factors, dtype=torch.float32)).to(device)
    return _llama3(plain, scaling).to(device)


def is_inverse_frequencies(config: ModelConfig, stored: torch.Tensor) -> bool:
    """Whether stored frequencies are the model's, up to rounding in their dtype.

    They may also be those before scaling: with transformers before 4.38, linear scaling divided the positions.
    """
    limits = torch.finfo(stored.dtype)
    unscaled = dataclasses.replace(config, rope_scaling=None)
    return any(
        torch.allclose(
            stored.float(), inverse_frequencies(each), rtol=max(4 * limits.eps, 1e-5), atol=4 * limits.eps * limits.tiny
        )
        for each in (config, unscaled)
    )


def _llama3(plain: torch.Tensor, scaling: RopeScaling) -> torch.Tensor:
    positions, factor = scaling.original_max_positions, float(scaling.factor)
    low, high = float(scaling.low_freq_factor), float(scaling.high_freq_factor)
    wavelength = 2 * math.pi / plain
    long = wavelength > positions / low
    medium = ~(wavelength < positions / high) & ~long
    share = (positions / wavelength - low) / (high - low)
    slowed = torch.where(long, plain / factor, plain)
    return torch.where(medium, (1 - share) * slowed / factor + share * slowed, slowed)
