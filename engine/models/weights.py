"""The tensors of a model, fused into the matrices that the forward pass multiplies by."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from engine.models.config import ModelConfig


@dataclass(frozen=True, eq=False)
class Linear:
    """x -> x weight^T + bias: weight [out, in], bias [out] or None."""

    weight: torch.Tensor
    bias: torch.Tensor | None = None


@dataclass(frozen=True, eq=False)
class Norm:
    """LayerNorm (OPT) or RMSNorm (Llama, no bias): weight [hidden], bias [hidden] or None."""

    weight: torch.Tensor
    bias: torch.Tensor | None = None


@dataclass(frozen=True, eq=False)
class Layer:
    """One layer: x += out(attention(qkv(attn_norm(x)))), then x += down(activation(up(mlp_norm(x)))).

    Attributes
    ----------
    attn_norm : Norm
    qkv : Linear, [(num_heads + 2 num_kv_heads) head_dim, hidden]
        Rows of q, then k, then v; within each, head by head.
    out : Linear, [hidden, num_heads head_dim]
    mlp_norm : Norm
    up : Linear
        OPT: [ffn, hidden]. Llama: [2 ffn, hidden], rows of the gate, then of up: down(activation(gate) * up).
    down : Linear, [hidden, ffn]
    """

    attn_norm: Norm
    qkv: Linear
    out: Linear
    mlp_norm: Norm
    up: Linear
    down: Linear


@dataclass(frozen=True, eq=False)
class Weights:
    """All tensors of a model, of one dtype on one device.

    Attributes
    ----------
    embed : [vocab, hidden]
    positions : [max_positions, hidden] or None
        Of OPT, row 0 for position 0: the two rows before it in checkpoints are dropped.
    layers : tuple of Layer
    final_norm : Norm
    lm_head : [vocab, hidden]
        The same tensor object as `embed` where the model is tied.
    """

    embed: torch.Tensor
    positions: torch.Tensor | None
    layers: tuple[Layer, ...]
    final_norm: Norm
    lm_head: torch.Tensor

    @property
    def num_bytes(self) -> int:
        """Bytes of all tensors; a tensor that is used twice counts once."""
        return sum({id(t): t.numel() * t.element_size() for t in self.tensors()}.values())

    def tensors(self) -> Iterator[torch.Tensor]:
        """All tensors; `embed` twice where tied."""
        yield self.embed
        if self.positions is not None:
            yield self.positions
        for layer in self.layers:
            for part in (layer.attn_norm, layer.qkv, layer.out, layer.mlp_norm, layer.up, layer.down):
                yield from _both(part)
        yield from _both(self.final_norm)
        yield self.lm_head


def expand_kv_heads(config: ModelConfig, weights: Weights) -> tuple[ModelConfig, Weights]:
    """The exact twin with as many KV heads as heads: each K and V head repeated for the heads that share it.

    Its KV cache is num_heads / num_kv_heads times as large; its logits are the same. Unchanged tensors are shared.
    """
    if config.num_kv_heads == config.num_heads:
        return config, weights
    layers = tuple(dataclasses.replace(layer, qkv=_expanded(config, layer.qkv)) for layer in weights.layers)
    return (
        dataclasses.replace(config, num_kv_heads=config.num_heads),
        dataclasses.replace(weights, layers=layers),
    )


def _expanded(config: ModelConfig, qkv: Linear) -> Linear:
    heads, kv_heads = config.num_heads, config.num_kv_heads
    # Head h reads KV head h // (heads / kv_heads).
    of_head = torch.arange(kv_heads).repeat_interleave(heads // kv_heads)
    order = torch.cat([torch.arange(heads), heads + of_head, heads + kv_heads + of_head]).to(qkv.weight.device)
    rows = (order[:, None] * config.head_dim + torch.arange(config.head_dim, device=order.device)).flatten()
    return Linear(qkv.weight[rows], None if qkv.bias is None else qkv.bias[rows])


def _both(part: Linear | Norm) -> Iterator[torch.Tensor]:
    yield part.weight
    if part.bias is not None:
        yield part.bias
