"""Random models for tests and benchmarks."""

from __future__ import annotations

import math

import torch

from engine.models.assemble import Shape, assemble
from engine.models.config import ModelConfig
from engine.models.weights import Weights

LOGIT_STD = 4.0  # so that the largest two logits are seldom close
ATTENTION_GAIN = 1.5  # of q, k and v: gives scores a standard deviation of 2, so that attention is not uniform


def random_weights(
    config: ModelConfig,
    generator: torch.Generator,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> Weights:
    """Weights drawn so that each layer adds about as much as the one before, and logits are well spread.

    Matrices keep the magnitude of their input; the final norm scales the logits, not the embedding, so that a tied
    model does not repeat its last token for ever. All biases are there and not zero.
    """

    def draw(name: str, shape: Shape) -> torch.Tensor:
        noise = torch.randn(shape, generator=generator, device=generator.device)
        if "norm" in name:
            mean = 0.0 if name.endswith("bias") else LOGIT_STD if not name.startswith("layers.") else 1.0
            return mean + 0.1 * noise
        if name.endswith("bias"):
            return 0.1 * noise
        gain = ATTENTION_GAIN if name.endswith(("q_proj.weight", "k_proj.weight", "v_proj.weight")) else 1.0
        return noise * (gain / math.sqrt(shape[1]))

    return assemble(config, draw, dtype, device)
