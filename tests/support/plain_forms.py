"""A text's logits with its cache as its forms leave it: whole tensors, one text, one token at a time."""

from __future__ import annotations

import torch

from aptsched.scheduling.forms import CacheForm
from engine.models.architecture import LLAMA
from engine.models.config import ModelConfig
from engine.models.weights import Layer, Weights
from plain_model import activated, angles, linear, norm, turned


class FullAttention:
    """Logits of a text that were computed at once: forms that keep all of K and V, or of what they are made of."""

    def __init__(self, logits: torch.Tensor) -> None:
        self.logits = logits  # [n, vocab]

    def fed(self, start: int, stop: int, form: CacheForm) -> torch.Tensor:
        """Logits after token stop - 1, [vocab]."""
        return self.logits[stop - 1]

    def converted(self, form: CacheForm) -> None:
        """Nothing changes."""


class PlainForms:
    """Keeps K and V of all tokens as they are read.

    Attributes
    ----------
    kv : list of tensors, [n, 2, num_kv_heads, head_dim]
        Of each layer.
    """

    def __init__(self, config: ModelConfig, weights: Weights, token_ids: list[int]) -> None:
        self.config, self.weights, self.token_ids = config, weights, token_ids
        embed = weights.embed
        self.kv = [embed.new_zeros(0, 2, config.num_kv_heads, config.head_dim) for _ in weights.layers]
        self.cos, self.sin = (each.to(embed.dtype) for each in angles(config, config.max_positions, embed.device))

    def fed(self, start: int, stop: int, form: CacheForm) -> torch.Tensor:
        """Logits after token stop - 1, [vocab]; those before it are fed one by one."""
        assert start == len(self.kv[0])
        return [self.token(position, form) for position in range(start, stop)][-1].cpu()

    def converted(self, form: CacheForm) -> None:
        """What is cached of all tokens is rounded, where the form does that."""
        if form == CacheForm.INT8:
            self.kv = [rounded(kv) for kv in self.kv]

    def token(self, position: int, form: CacheForm) -> torch.Tensor:
        """One more, with its own K and V as the form leaves them; its logits, [vocab]."""
        config, weights = self.config, self.weights
        x = weights.embed[self.token_ids[position]][None]
        if weights.positions is not None:
            x = x + weights.positions[position]
        for number, layer in enumerate(weights.layers):
            x = x + linear(layer.out, self.attention(number, layer, norm(config, layer.attn_norm, x), position, form))
            x = x + linear(layer.down, activated(config, linear(layer.up, norm(config, layer.mlp_norm, x))))
        logits: torch.Tensor = norm(config, weights.final_norm, x) @ weights.lm_head.T
        return logits[0]

    def attention(self, number: int, layer: Layer, x: torch.Tensor, position: int, form: CacheForm) -> torch.Tensor:
        """What each head reads of all tokens, [1, num_heads * head_dim]."""
        config = self.config
        heads = linear(layer.qkv, x).view(-1, 1, config.head_dim)  # [heads, 1, head_dim]
        q, k, v = torch.split(heads, [config.num_heads, config.num_kv_heads, config.num_kv_heads])
        if config.architecture == LLAMA:
            q, k = (turned(each, self.cos[position], self.sin[position]) for each in (q, k))
        new = torch.stack([k[:, 0], v[:, 0]])[None]  # [1, 2, num_kv_heads, head_dim]
        self.kv[number] = torch.cat([self.kv[number], rounded(new) if form == CacheForm.INT8 else new])
        keys, values = self.kv[number].repeat_interleave(config.num_heads // config.num_kv_heads, 2).unbind(1)
        scores = torch.einsum("hd,nhd->hn", q[:, 0], keys) / config.head_dim**0.5
        return torch.einsum("hn,nhd->hd", scores.softmax(-1), values).reshape(1, -1)


def rounded(kv: torch.Tensor) -> torch.Tensor:
    """Each head of K and of V of each token to multiples of its largest value over 127, which is rounded to fp16."""
    scale = (kv.abs().amax(-1, keepdim=True) / 127).half().to(kv.dtype)
    return torch.where(scale > 0, (kv / scale).round().clamp(-127, 127) * scale, torch.zeros_like(kv))
