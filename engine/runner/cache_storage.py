"""The cache's memory: one tensor of blocks of a fixed number of bytes on the device, and one on the host."""

from __future__ import annotations

import torch

from aptsched.scheduling.forms import BLOCK_SIZE
from engine.models.config import ModelConfig
from engine.runner.device.launches import Launches, launches_for
from engine.runner.device.swaps import Swaps
from engine.runner.device.upload import Upload


class CacheStorage:
    """Blocks of a fixed number of bytes, the same for every layer and form; only the forms know their content.

    Parameters
    ----------
    config : ModelConfig
    num_blocks : int
    dtype, device
    num_host_blocks : int
        Blocks on the host, for swapping.
    launches : Launches, optional
        By default those of the device.

    Attributes
    ----------
    row : int
        Values of K and V of a token in one layer.
    blocks : tensor, [num_layers, num_blocks, BLOCK_SIZE * row]
    upload : Upload
        What brings an iteration's indices to the blocks' device.
    swaps : Swaps
        What copies blocks to the host and back.
    """

    def __init__(
        self,
        config: ModelConfig,
        num_blocks: int,
        dtype: torch.dtype,
        device: torch.device,
        num_host_blocks: int = 0,
        launches: Launches | None = None,
    ) -> None:
        self.launches = launches or launches_for(device)
        self.upload = Upload(device, self.launches)
        self.row = config.kv_size
        # Zeros, as rows beyond a request's last token are read too, with weight 0, and so have to be finite.
        self.blocks = torch.zeros(config.num_layers, num_blocks, BLOCK_SIZE * self.row, dtype=dtype, device=device)
        size = (num_host_blocks, config.num_layers, BLOCK_SIZE * self.row)
        self.swaps = Swaps(self.blocks, self.launches.host_memory(size, dtype), self.upload.put, self.launches)

    @property
    def token_bytes(self) -> int:
        """Bytes of K and V of a token in one layer."""
        return self.row * self.blocks.element_size()

    @property
    def num_bytes(self) -> int:
        """Bytes of all blocks, without those on the host."""
        return self.blocks.numel() * self.blocks.element_size()

    def clear(self, blocks: torch.Tensor, layer: int | slice = slice(None)) -> None:
        """Sets blocks to zeros, in one layer or in all; blocks [any], on the device.

        Bytes that one form wrote may read as NaN or inf in another; so a block that is not filled at once is cleared
        before its first token is written.
        """
        cleared = self.blocks[layer]
        cleared.index_fill_(cleared.dim() - 2, blocks, 0)


def block_bytes(config: ModelConfig, dtype: torch.dtype) -> int:
    """Bytes of a block in all layers."""
    return BLOCK_SIZE * config.kv_bytes(dtype.itemsize)
