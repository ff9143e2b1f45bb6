"""Q, K and V of hidden states: all by one product, or Q apart from K and V."""

from __future__ import annotations

import torch

from engine.models.config import ModelConfig
from engine.models.kv_parts import KVParts
from engine.models.matmul import multiply, packs
from engine.models.rope import Angles, turn
from engine.models.weights import Linear


class QKV:
    """The projections of one layer.

    Where weights are packed, a matrix is held either whole or in parts. It is whole if hidden states take no less than
    K and V, so that K and V of all new tokens are wanted in any iteration. Otherwise an iteration may want either, and
    Q is multiplied apart.

    Parameters
    ----------
    config : ModelConfig
    linear : Linear, [(num_heads + 2 num_kv_heads) head_dim, hidden]

    Attributes
    ----------
    kv_parts : KVParts or None
        Of a model whose hidden states take less than K and V.
    """

    def __init__(self, config: ModelConfig, linear: Linear) -> None:
        self.num_heads, self.kv_shape = config.num_heads, (2, config.num_kv_heads, config.head_dim)
        rows = config.num_heads * config.head_dim
        q, kv = _rows(linear, slice(rows)), _rows(linear, slice(rows, None))
        self.is_whole = config.cache_ratio >= 1 and packs(linear.weight.device, linear.weight.dtype)
        if self.is_whole:
            self._whole = multiply(linear)
        else:
            self._q, self._kv = multiply(q), multiply(kv)
        self.kv_parts = KVParts(config, kv) if config.cache_ratio < 1 else None

    def __call__(
        self, hidden: torch.Tensor, angles: Angles | None, needs_kv: bool
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Q, [T, num_heads, head_dim], and if it is needed K with V, [T, 2, num_kv_heads, head_dim].

        They are of hidden states [T, hidden]; Q and K are turned by RoPE's angles, if there are any.
        """
        if self.is_whole:
            heads = self._heads(self._whole(hidden))
            if angles is not None:
                turn(heads[:, : -self.kv_shape[1]], angles)
            return heads[:, : self.num_heads], heads[:, self.num_heads :].view(len(hidden), *self.kv_shape)
        q = self._heads(self._q(hidden))
        if angles is not None:
            turn(q, angles)
        return q, self.keys_and_values(hidden, angles) if needs_kv else None

    def keys_and_values(self, hidden: torch.Tensor, angles: Angles | None) -> torch.Tensor:
        """K, turned by RoPE's angles if there are any, and V, [T, 2, num_kv_heads, head_dim], of [T, hidden]."""
        rows = self._heads(self._whole(hidden))[:, self.num_heads :] if self.is_whole else self._kv(hidden)
        kv = rows.view(len(hidden), *self.kv_shape)
        if angles is not None:
            turn(kv[:, 0], angles)
        return kv

    def _heads(self, x: torch.Tensor) -> torch.Tensor:
        return x.view(len(x), -1, self.kv_shape[2])


def _rows(linear: Linear, rows: slice) -> Linear:
    return Linear(linear.weight[rows], None if linear.bias is None else linear.bias[rows])
