"""Scaling of a model's rotary frequencies."""

from __future__ import annotations

from dataclasses import dataclass

from aptsched.support.errors import InputError
from engine.models.size_checks import check_number, check_size

KINDS = ("linear", "llama3", "factors")
MIN_FACTOR, MAX_FACTOR = 1e-6, 2.0**63  # so that angles stay within float32


@dataclass(frozen=True)
class RopeScaling:
    """How the frequencies differ from theta^(-2i / head_dim).

    Parameters
    ----------
    kind : str
        "linear": all are divided by `factor`. "llama3": those of long waves are divided by `factor`, those of short
        waves are kept, those between are blended. "factors": each is divided by its own entry of `factors`.
    factor : float
        Of kinds "linear" and "llama3": from 1 to 2^63.
    low_freq_factor, high_freq_factor : float
        Of "llama3": waves longer than original_max_positions / low_freq_factor are long, those shorter than
        original_max_positions / high_freq_factor are short.
    original_max_positions : int
        Of "llama3": positions that the model was first trained on.
    factors : tuple of float
        Of "factors", [head_dim / 2].
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
