"""The forward pass: OPT and Llama by one code path, with attention left to the caller."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import Protocol

import torch
import torch.nn.functional as F

from engine.models.config import ModelConfig
from engine.models.kv_parts import KVParts
from engine.models.matmul import Multiply, multiply
from engine.models.qkv import QKV
from engine.models.rope import Angles, Rope
from engine.models.weights import Layer, Linear, Norm, Weights

MLP_ROWS = 1024  # most tokens that go through an MLP at once, which bounds its memory
CPU_MLP_ROWS = 512  # on a CPU, whose caches then hold what the MLP makes of them
Elementwise = Callable[[torch.Tensor], torch.Tensor]
ACTIVATE: dict[str, Elementwise] = {  # in place where torch can
    "relu": torch.relu_,
    "gelu": F.gelu,
    "gelu_tanh": partial(F.gelu, approximate="tanh"),
    "silu": partial(F.silu, inplace=True),
}


class Attend(Protocol):
    """Attention over the cache: writes the new tokens, reads all of them; `needs_kv` says whether it is given kv."""

    needs_kv: bool

    def __call__(self, layer: int, hidden: torch.Tensor, q: torch.Tensor, kv: torch.Tensor | None) -> torch.Tensor:
        """Hidden states [T, hidden], q [T, num_heads, head_dim], kv [T, 2, num_kv_heads, head_dim] -> q's shape."""
        ...


class Decoder:
    """A model's layers, with weights packed for the device.

    Parameters
    ----------
    config : ModelConfig
    weights : Weights
        On a CPU they are packed; a tied output matrix is then held twice, packed, and plain as the embedding, and so
        are the matrices of K and V where hidden states take less than K and V (`KVParts`).
    layers : iterable of Layer, optional
        By default those of the weights. An iterator that drops each layer after giving it keeps the peak of memory at
        one copy of all weights.
    """

    def __init__(self, config: ModelConfig, weights: Weights, layers: Iterable[Layer] | None = None) -> None:
        self.config = config
        self.embed, self.positions = weights.embed, weights.positions
        self.device, self.dtype = self.embed.device, self.embed.dtype
        self.mlp_rows = CPU_MLP_ROWS if self.device.type == "cpu" else MLP_ROWS
        self.final_norm = _norm(config, weights.final_norm)
        self.head = multiply(Linear(weights.lm_head))
        self.layers = [_Layer(config, layer) for layer in (weights.layers if layers is None else layers)]
        self.rope = None if self.positions is not None else Rope(config, self.device, self.dtype)

    def forward(self, token_ids: torch.Tensor, positions: torch.Tensor, attend: Attend) -> torch.Tensor:
        """Tokens of any requests, [T], at their positions, [T] -> the last layer's output, [T, hidden]."""
        x = F.embedding(token_ids, self.embed)
        if self.positions is not None:
            x += F.embedding(positions, self.positions)
        angles = self._angles(positions)
        for number, layer in enumerate(self.layers):
            hidden = layer.attn_norm(x)
            q, kv = layer.qkv(hidden, angles, attend.needs_kv)
            x += layer.out(attend(number, hidden, q, kv).flatten(1))
            for first in range(0, len(x), self.mlp_rows):
                rows = x[first : first + self.mlp_rows]
                rows += layer.mlp(layer.mlp_norm(rows))
        return x

    def keys_and_values(self, layer: int, hidden: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
        """K and V, [T, 2, num_kv_heads, head_dim], of hidden states [T, hidden]; RoPE at their positions, [T]."""
        return self.layers[layer].qkv.keys_and_values(hidden, self._angles(positions))

    def _angles(self, positions: torch.Tensor) -> Angles | None:
        return None if self.rope is None else self.rope.angles(positions)

    def kv_parts(self, layer: int) -> KVParts:
        """The matrices of K and V apart, of a model whose hidden states take less than K and V."""
        parts = self.layers[layer].qkv.kv_parts
        assert parts is not None
        return parts

    def logits(self, x: torch.Tensor) -> torch.Tensor:
        """The last layer's output, [T, hidden] -> logits, [T, vocab]."""
        return self.head(self.final_norm(x))


class _Layer:
    """One layer, ready to multiply."""

    def __init__(self, config: ModelConfig, layer: Layer) -> None:
        self.attn_norm, self.mlp_norm = _norm(config, layer.attn_norm), _norm(config, layer.mlp_norm)
        self.qkv = QKV(config, layer.qkv)
        self.out = multiply(layer.out)
        self.mlp = _gated(config, layer) if config.architecture.is_gated else _plain(config, layer)


def _norm(config: ModelConfig, norm: Norm) -> Elementwise:
    weight, bias, eps, width = norm.weight, norm.bias, config.norm_eps, config.hidden_size
    if config.architecture.norm == "layer":
        return lambda x: F.layer_norm(x, (width,), weight, bias, eps)
    if weight.device.type != "cpu" or weight.dtype == torch.float64:
        return lambda x: F.rms_norm(x, (width,), weight, eps)
    root, gain = math.sqrt(width), weight.float()

    def rms_norm(x: torch.Tensor) -> torch.Tensor:  # torch's own takes up to four times as long on a CPU
        exact = x.float()
        length: torch.Tensor = torch.linalg.vector_norm(exact, dim=-1, keepdim=True).div_(root)
        return (exact * length.square_().add_(eps).rsqrt_()).mul_(gain).to(x.dtype)

    return rms_norm


def _plain(config: ModelConfig, layer: Layer) -> Multiply:
    if config.activation == "relu":
        up, down = multiply(layer.up, "relu"), multiply(layer.down)
        return lambda x: down(up(x))
    up, down, activate = multiply(layer.up), multiply(layer.down), ACTIVATE[config.activation]
    return lambda x: down(activate(up(x)))


def _gated(config: ModelConfig, layer: Layer) -> Multiply:
    up, down, activate = multiply(layer.up), multiply(layer.down), ACTIVATE[config.activation]

    def mlp(x: torch.Tensor) -> torch.Tensor:
        gate, value = up(x).chunk(2, dim=-1)
        return down(activate(gate) * value)

    return mlp
