"""Bytes of a model's numbers, and how fast they are multiplied."""

from __future__ import annotations

from dataclasses import dataclass

from aptsched.support.errors import InputError
from aptsched.support.shown import shown
from engine.simulator.gpus import GPU

NUMBER_BYTES = (4, 2, 1, 0.5)  # fp32; bf16 or fp16; fp8 or int8; int4


@dataclass(frozen=True)
class Precision:
    """Bytes of each number of the weights, and of K and V; scales of blocks of numbers are not counted.

    Parameters
    ----------
    weight_bytes, kv_bytes : float
        4, 2, 1 (fp8, int8) or 0.5 (int4).

    Notes
    -----
    Hidden states are activations: they have 16 bits also beside narrower K and V, and 32 beside those of 32.
    """

    weight_bytes: float = 2
    kv_bytes: float = 2

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if type(value) not in (int, float) or value not in NUMBER_BYTES:
                raise InputError(f"{name}: {shown(value)} is not accepted; 4, 2, 1 or 0.5 is")

    @property
    def hidden_bytes(self) -> float:
        """Bytes of each number of a hidden state."""
        return max(2, self.kv_bytes)

    def flops_per_s(self, gpu: GPU) -> float:
        """The GPU's peak in products with weights.

        Weights of 1 byte are multiplied in fp8 where the GPU can, so activations are rounded to that, and else in 16
        bits, as those of half a byte are everywhere. Those of 4 bytes are TF32, at half of the peak of 16 bits.
        """
        if self.weight_bytes == 1 and gpu.fp8_flops_per_s:
            return gpu.fp8_flops_per_s
        return gpu.flops_per_s / 2 if self.weight_bytes == 4 else gpu.flops_per_s

    def attention_flops_per_s(self, gpu: GPU) -> float:
        """The GPU's peak in attention: in 16 bits, to which narrower K and V are widened as they are read."""
        return gpu.flops_per_s / 2 if self.kv_bytes == 4 else gpu.flops_per_s


BITS_16 = Precision()
