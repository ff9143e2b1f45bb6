"""The cache's memory: one tensor for a model, in which blocks hold K and V or hidden states, and one on the host."""

from __future__ import annotations

import math

import numpy as np
import torch

from aptsched.scheduling.forms import BLOCK_SIZE, CacheForm, CacheShape
from aptsched.support.checks import Ints
from engine.models.config import ModelConfig
from engine.state.batch import Copies


class CacheStorage:
    """Blocks of a fixed number of bytes, the same for every layer and form.

    A KV block holds, token by token, K and then V of all heads; a hidden block holds the inputs of the K and V
    projections of floor(block_size / ratio) tokens, and what is left of it stays unused.

    Parameters
    ----------
    config : ModelConfig
    num_blocks : int
    dtype, device
    block_size : int
        KV tokens a block.
    num_host_blocks : int
        Blocks on the host, to which others are swapped. With CUDA their memory is pinned, so that copies run at the
        speed of the bus; without, it is taken as it is used.
    """

    def __init__(
        self,
        config: ModelConfig,
        num_blocks: int,
        dtype: torch.dtype,
        device: torch.device,
        block_size: int = BLOCK_SIZE,
        num_host_blocks: int = 0,
    ) -> None:
        self.shape = CacheShape(config.cache_ratio, block_size)
        self.row = 2 * config.num_kv_heads * config.head_dim
        self.hidden_size = config.hidden_size
        self.num_blocks = num_blocks
        # Zeros, not whatever was there: rows beyond a request's last token are read and weighted by 0.
        self.blocks = torch.zeros(config.num_layers, num_blocks, block_size * self.row, dtype=dtype, device=device)
        self.kv_rows = self.blocks.view(config.num_layers, -1, self.row)  # [num_layers, num_blocks block_size, row]
        # Hidden states need not divide a block; pieces of this many values divide both.
        self.piece = math.gcd(block_size * self.row, self.hidden_size)
        self.pieces = self.blocks.view(config.num_layers, -1, self.piece)
        size = (num_host_blocks, config.num_layers, block_size * self.row)
        self.host = torch.empty(size, dtype=dtype, pin_memory=device.type == "cuda" and num_host_blocks > 0)

    @property
    def num_bytes(self) -> int:
        """Bytes of all blocks, without those on the host."""
        return self.blocks.numel() * self.blocks.element_size()

    def slots(self, table: Ints, owner: Ints, positions: Ints) -> Ints:
        """Rows of `kv_rows`, [t], of tokens at these positions, [t], of owners, [t], that are rows of a block table."""
        size = self.shape.block_size
        found: Ints = table[owner, positions // size] * size + positions % size
        return found

    def piece_indices(self, table: Ints, owner: Ints, positions: Ints) -> Ints:
        """Rows of `pieces` of hidden states, [t * pieces of each], of tokens as in `slots`."""
        held = self.shape.tokens_per_block(CacheForm.HIDDEN)
        each, in_block = self.hidden_size // self.piece, self.shape.block_size * self.row // self.piece
        first = table[owner, positions // held] * in_block + positions % held * each
        indices: Ints = (first[:, None] + np.arange(each)).ravel()
        return indices

    def write_kv(self, layer: int, slots: torch.Tensor, kv: torch.Tensor) -> None:
        """Stores K and V, [t, 2, num_kv_heads, head_dim]."""
        self.kv_rows[layer].index_copy_(0, slots, kv.flatten(1))

    def write_hidden(self, layer: int, pieces: torch.Tensor, hidden: torch.Tensor) -> None:
        """Stores hidden states, [t, hidden]."""
        self.pieces[layer].index_copy_(0, pieces, hidden.reshape(-1, self.piece))

    def read_hidden(self, layer: int, pieces: torch.Tensor) -> torch.Tensor:
        """Hidden states, [t, hidden]."""
        return self.pieces[layer].index_select(0, pieces).view(-1, self.hidden_size)

    def swap_out(self, copies: Copies) -> None:
        """Copies blocks to the host."""
        for block, host in zip(copies.source.tolist(), copies.target.tolist(), strict=True):
            self.host[host].copy_(self.blocks[:, block], non_blocking=True)

    def swap_in(self, copies: Copies) -> None:
        """Copies blocks back from the host; what comes later in the device's stream finds them."""
        for host, block in zip(copies.source.tolist(), copies.target.tolist(), strict=True):
            self.blocks[:, block].copy_(self.host[host], non_blocking=True)


def block_bytes(config: ModelConfig, dtype: torch.dtype, block_size: int = BLOCK_SIZE) -> int:
    """Bytes of a block in all layers."""
    values = config.num_layers * block_size * 2 * config.num_kv_heads * config.head_dim
    return values * torch.empty((), dtype=dtype).element_size()
