"""The matrices of K and of V apart from each other, for attention that absorbs them."""

from __future__ import annotations

from functools import cached_property

import torch

from engine.models.config import ModelConfig
from engine.models.matmul import multiply, packs
from engine.models.weights import Linear


class KVParts:
    """What absorbed attention needs of one layer beside the product by both matrices at once.

    Where products pack their weights, these are copies: the plain ones are dropped.

    Parameters
    ----------
    config : ModelConfig
    kv : Linear, [2 num_kv_heads head_dim, hidden]

    Attributes
    ----------
    keys : Multiply or None
        With RoPE: the product that gives K before it is turned, [t, num_kv_heads head_dim], of hidden states.
    key_matrix, value_matrix : tensor, [num_kv_heads, head_dim, hidden]
    key_bias, value_bias : tensor, [num_kv_heads, head_dim], or None
        That of K adds the same to all scores of a query where K is not turned, and is not needed there.

    Where weights are packed and K is turned, `key_matrix` is made when it is first asked for, from K of unit inputs.
    """

    def __init__(self, config: ModelConfig, kv: Linear) -> None:
        shape, rows = (config.num_kv_heads, config.head_dim), config.num_kv_heads * config.head_dim
        is_turned = config.architecture.positions == "rope"
        copied = packs(kv.weight.device, kv.weight.dtype)

        def kept(weight: torch.Tensor) -> torch.Tensor:
            return (weight.clone() if copied else weight).view(*shape, config.hidden_size)

        key = Linear(kv.weight[:rows], None if kv.bias is None else kv.bias[:rows])
        self.keys = multiply(key) if is_turned else None
        self._plain_key_matrix = None if is_turned and copied else kept(key.weight)
        self.value_matrix = kept(kv.weight[rows:])
        self.key_bias = None if key.bias is None else key.bias.view(shape)
        self.value_bias = None if kv.bias is None else kv.bias[rows:].view(shape)

    @cached_property
    def key_matrix(self) -> torch.Tensor:
        """The matrix of K, [num_kv_heads, head_dim, hidden]."""
        if self._plain_key_matrix is not None:
            return self._plain_key_matrix
        assert self.keys is not None
        unit = torch.eye(self.value_matrix.shape[2], dtype=self.value_matrix.dtype, device=self.value_matrix.device)
        found = self.keys(unit) if self.key_bias is None else self.keys(unit) - self.key_bias.flatten()
        return found.T.contiguous().view_as(self.value_matrix)
