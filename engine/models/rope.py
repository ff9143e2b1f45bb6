"""Rotary position embedding: the angles a model turns its queries and keys by."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from aptsched.support.errors import InputError
from engine.models.size_checks import check_number, check_size

if TYPE_CHECKING:
    from engine.models.config import ModelConfig

KINDS = ("linear", "llama3", "factors")
MIN_FACTOR, MAX_FACTOR = 1e-6, 2.0**63  # so that angles stay within float32


@dataclass(frozen=True)
class RopeScaling:
    """How the frequencies differ from theta^(-2i / head_dim).

    Parameters
    ----------
    kind : str
        "linear": all divided by `factor`. "llama3": those of long waves divided by `factor`, those of short waves kept,
        those between blended. "factors": each divided by its own entry of `factors`.
    factor : float
        From 1 to 2^63, of linear and llama3.
    low_freq_factor, high_freq_factor : float
        Of llama3: waves longer than original_max_positions / low_freq_factor are long, those shorter than
        original_max_positions / high_freq_factor short.
    original_max_positions : int
        Of llama3: positions that the model was first trained on.
    factors : tuple of float
        Of factors, [head_dim / 2].
    """

    kind: str
    factor: float = 1.0
    low_freq_factor: float = 1.0
    high_freq_factor: float = 4.0
    original_max_positions: int = 8192
    factors: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError(f"rope scaling: {self.kind!r} is not supported; {', '.join(KINDS)} or none is")
        check_number("rope scaling: factor", self.factor, 1, MAX_FACTOR)
        check_number("rope scaling: low_freq_factor", self.low_freq_factor, MIN_FACTOR, MAX_FACTOR)
        check_number("rope scaling: high_freq_factor", self.high_freq_factor, MIN_FACTOR, MAX_FACTOR)
        if self.high_freq_factor <= self.low_freq_factor:
            raise InputError(
                f"rope scaling: high_freq_factor: {self.high_freq_factor!r} is not accepted; "
                f"a number above low_freq_factor, {self.low_freq_factor!r}, is"
            )
        check_size("rope scaling: original_max_position_embeddings", self.original_max_positions)
        for factor in self.factors:
            check_number("rope scaling: factors", factor, MIN_FACTOR, MAX_FACTOR)


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
    """Whether stored frequencies are the model's, to what their dtype rounds off.

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
