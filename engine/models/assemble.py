"""Copies a checkpoint's tensors, one after the other, into the fused layout."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass

import torch

from engine.models.architecture import OPT
from engine.models.config import ModelConfig
from engine.models.weights import Layer, Linear, Norm, Weights

Shape = tuple[int, ...]
Read = Callable[[str, Shape], torch.Tensor]

HEAD = "lm_head.weight"
HEAD_ROWS = 4096  # rows of two output matrices that are compared at once


def assemble(config: ModelConfig, read: Read, dtype: torch.dtype, device: torch.device | str) -> Weights:
    """The weights from tensors by name.

    `read(name, shape)` gives a tensor of that shape, of any dtype on any device; each is asked for once and copied
    before the next, so that no more than one is held beside the result. The names are those of Hugging Face
    checkpoints, without the prefixes `model.` and `decoder.`.
    """
    source = _Source(config, read, dtype, device)
    embed = source.copy("embed_tokens.weight", (config.vocab_size, config.hidden_size))
    layer, final = (_opt_layer, "final_layer_norm") if config.architecture == OPT else (_llama_layer, "norm")
    return Weights(
        embed=embed,
        positions=source.positions() if config.architecture.positions == "learned" else None,
        layers=tuple(layer(source, f"layers.{i}.") for i in range(config.num_layers)),
        final_norm=source.norm(final),
        lm_head=embed if config.tied else source.copy(HEAD, (config.vocab_size, config.hidden_size)),
    )


def with_stored_head(config: ModelConfig, stored: Container[str]) -> ModelConfig:
    """The configuration of files with these tensors: it is untied if an output matrix is stored."""
    return dataclasses.replace(config, tied=config.tied and HEAD not in stored)


def with_equal_head(config: ModelConfig, read: Read, dtype: torch.dtype) -> ModelConfig:
    """The configuration, tied if the stored output matrix equals the embedding in `dtype`, so that one is held."""
    if config.tied:
        return config
    shape = (config.vocab_size, config.hidden_size)
    embed, head = read("embed_tokens.weight", shape), read(HEAD, shape)
    rows = (slice(first, first + HEAD_ROWS) for first in range(0, config.vocab_size, HEAD_ROWS))
    return dataclasses.replace(config, tied=all(torch.equal(embed[at].to(dtype), head[at].to(dtype)) for at in rows))


def tensor_shapes(config: ModelConfig) -> dict[str, Shape]:
    """Every tensor that `assemble` asks for, and its shape."""
    shapes: dict[str, Shape] = {}

    def note(name: str, shape: Shape) -> torch.Tensor:
        shapes[name] = shape
        return torch.empty(shape, device="meta")

    assemble(config, note, torch.float32, "meta")
    return shapes


@dataclass(frozen=True)
class _Source:
    config: ModelConfig
    read: Read
    dtype: torch.dtype
    device: torch.device | str

    def empty(self, *shape: int) -> torch.Tensor:
        return torch.empty(shape, dtype=self.dtype, device=self.device)

    def copy(self, name: str, shape: Shape) -> torch.Tensor:
        return self.empty(*shape).copy_(self.read(name, shape))

    def positions(self) -> torch.Tensor:
        num, width = self.config.max_positions, self.config.hidden_size
        stored = self.read("embed_positions.weight", (self.config.num_position_rows, width))
        return self.empty(num, width).copy_(stored[-num:])

    def norm(self, name: str) -> Norm:
        shape = (self.config.hidden_size,)
        has_bias = self.config.architecture.norm == "layer"
        return Norm(self.copy(f"{name}.weight", shape), self.copy(f"{name}.bias", shape) if has_bias else None)

    def linear(self, parts: Sequence[tuple[str, int]], num_inputs: int, has_bias: bool) -> Linear:
        """One matrix made of several, each given by name and number of rows, one below the other."""
        num_rows = sum(rows for _, rows in parts)
        weight, bias = self.empty(num_rows, num_inputs), self.empty(num_rows) if has_bias else None
        first = 0
        for name, rows in parts:
            weight[first : first + rows].copy_(self.read(f"{name}.weight", (rows, num_inputs)))
            if bias is not None:
                bias[first : first + rows].copy_(self.read(f"{name}.bias", (rows,)))
            first += rows
        return Linear(weight, bias)

    def qkv(self, prefix: str) -> Linear:
        config = self.config
        query, shared = config.num_heads * config.head_dim, config.num_kv_heads * config.head_dim
        parts = [
            (f"{prefix}{name}", rows) for name, rows in (("q_proj", query), ("k_proj", shared), ("v_proj", shared))
        ]
        return self.linear(parts, config.hidden_size, config.attention_bias)


def _opt_layer(source: _Source, prefix: str) -> Layer:
    config = source.config
    hidden, ffn = config.hidden_size, config.intermediate_size
    return Layer(
        attn_norm=source.norm(f"{prefix}self_attn_layer_norm"),
        qkv=source.qkv(f"{prefix}self_attn."),
        out=source.linear([(f"{prefix}self_attn.out_proj", hidden)], hidden, config.attention_bias),
        mlp_norm=source.norm(f"{prefix}final_layer_norm"),
        up=source.linear([(f"{prefix}fc1", ffn)], hidden, config.mlp_bias),
        down=source.linear([(f"{prefix}fc2", hidden)], ffn, config.mlp_bias),
    )


def _llama_layer(source: _Source, prefix: str) -> Layer:
    config = source.config
    hidden, ffn = config.hidden_size, config.intermediate_size
    gate_up = [(f"{prefix}mlp.gate_proj", ffn), (f"{prefix}mlp.up_proj", ffn)]
    inner = config.num_heads * config.head_dim
    return Layer(
        attn_norm=source.norm(f"{prefix}input_layernorm"),
        qkv=source.qkv(f"{prefix}self_attn."),
        out=source.linear([(f"{prefix}self_attn.o_proj", hidden)], inner, config.attention_bias),
        mlp_norm=source.norm(f"{prefix}post_attention_layernorm"),
        up=source.linear(gate_up, hidden, config.mlp_bias),
        down=source.linear([(f"{prefix}mlp.down_proj", hidden)], ffn, config.mlp_bias),
    )
