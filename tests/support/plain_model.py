"""A model's logits with full attention over the whole text: no cache, one text at a time."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from engine.models import architecture
from engine.models.config import ModelConfig
from engine.models.rope import inverse_frequencies
from engine.models.weights import Layer, Linear, Norm, Weights


def plain_logits(config: ModelConfig, weights: Weights, token_ids: list[int]) -> torch.Tensor:
    """Logits after each token, [n, vocab]."""
    x = weights.embed[torch.tensor(token_ids, dtype=torch.int64, device=weights.embed.device)]
    if weights.positions is not None:
        x = x + weights.positions[: len(token_ids)]
    for layer in weights.layers:
        x = x + linear(layer.out, attention(config, layer, norm(config, layer.attn_norm, x)))
        x = x + linear(layer.down, activated(config, linear(layer.up, norm(config, layer.mlp_norm, x))))
    return norm(config, weights.final_norm, x) @ weights.lm_head.T


def attention(config: ModelConfig, layer: Layer, x: torch.Tensor) -> torch.Tensor:
    """What each head reads of the tokens before, [n, num_heads * head_dim]."""
    heads = linear(layer.qkv, x).view(len(x), -1, config.head_dim).transpose(0, 1)  # [heads, n, head_dim]
    q, k, v = torch.split(heads, [config.num_heads, config.num_kv_heads, config.num_kv_heads])
    if config.architecture == architecture.LLAMA:
        q, k = rotated(config, q), rotated(config, k)
    group = config.num_heads // config.num_kv_heads
    scores = q @ k.repeat_interleave(group, 0).transpose(1, 2) / config.head_dim**0.5  # [heads, n, n]
    later = torch.ones(scores.shape[1:], dtype=torch.bool, device=x.device).triu(1)
    share = scores.masked_fill(later, float("-inf")).softmax(-1)
    read: torch.Tensor = (share @ v.repeat_interleave(group, 0)).transpose(0, 1).flatten(1)
    return read


def rotated(config: ModelConfig, heads: torch.Tensor) -> torch.Tensor:
    """Heads turned by their position, [heads, n, head_dim]."""
    cos, sin = angles(config, heads.shape[1], heads.device)
    return turned(heads, cos.to(heads.dtype), sin.to(heads.dtype))


def angles(config: ModelConfig, num_positions: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Cosines and sines of the angles at positions from 0 on, [num_positions, head_dim / 2], float32."""
    positions = torch.arange(num_positions, device=device, dtype=torch.float32)
    found = positions[:, None] * inverse_frequencies(config, device)
    return found.cos(), found.sin()


def turned(heads: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    """Heads, [heads, n, head_dim], turned by angles with these cosines and sines, [n, head_dim / 2]."""
    first, second = heads.chunk(2, -1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], -1)


def activated(config: ModelConfig, x: torch.Tensor) -> torch.Tensor:
    """The inner values of the MLP, [n, ffn]."""
    if config.architecture == architecture.OPT:
        return activation(config, x)
    gate, up = x.chunk(2, -1)
    return activation(config, gate) * up


def activation(config: ModelConfig, x: torch.Tensor) -> torch.Tensor:
    if config.activation.startswith("gelu"):
        return F.gelu(x, approximate="tanh" if config.activation == "gelu_tanh" else "none")
    return {"relu": F.relu, "silu": F.silu}[config.activation](x)


def linear(by: Linear, x: torch.Tensor) -> torch.Tensor:
    return F.linear(x, by.weight, by.bias)


def norm(config: ModelConfig, by: Norm, x: torch.Tensor) -> torch.Tensor:
    if config.architecture == architecture.OPT:
        return F.layer_norm(x, x.shape[-1:], by.weight, by.bias, config.norm_eps)
    return F.rms_norm(x, x.shape[-1:], by.weight, config.norm_eps)
