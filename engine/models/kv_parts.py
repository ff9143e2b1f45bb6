"""The matrices of K and of V apart from each other, for attention that absorbs them."""

from __future__ import annotations

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
    key_matrix : tensor, [num_kv_heads, head_dim, hidden], or None
        Without RoPE. The bias of K adds the same to all scores of a query and is not needed.
    value_matrix : tensor, [num_kv_heads, head_dim, hidden]
    value_bias : tensor, [num_kv_heads, head_dim], or None
    """

    def __init__(self, config: ModelConfig, kv: Linear) -> None:
        shape, rows = (config.num_kv_heads, config.head_dim), config.num_kv_heads * config.head_dim
        is_turned = config.architecture.positions == "rope"
        copied = packs(kv.weight.device, kv.weight.dtype)

        def kept(weight: torch.Tensor) -> torch.Tensor:
            return (weight.clone() if copied else weight).view(*shape, config.hidden_size)

        key = Linear(kv.weight[:rows], None if kv.bias is None else kv.bias[:rows])
        self.keys = multiply(key) if is_turned else None
        self.key_matrix = None if is_turned else kept(key.weight)
        self.value_matrix = kept(kv.weight[rows:])
        self.value_bias = None if kv.bias is None else kv.bias[rows:].view(shape)
