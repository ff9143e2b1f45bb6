"""Attention of decodes to K and V by compiled loops, where these run and serve."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import torch

from aptsched.scheduling.forms import BLOCK_SIZE
from aptsched.support.checks import Ints
from engine.runner.device.upload import Array
from engine.runner.forms.form_blocks import AttendCached, padded_table
from engine.runner.loops import team

ALONE_BYTES = 2**20  # of the cache, which one thread reads faster than it wakes others


class DecodeLoops:
    """Decodes of one model with its K and V in blocks.

    Parameters
    ----------
    rows : tensor, [num_layers, num_blocks * BLOCK_SIZE, 2 * num_kv_heads * head_dim]
        Tokens of all blocks, one after the other.
    num_heads, num_kv_heads, head_dim : int
    """

    def __init__(self, rows: torch.Tensor, num_heads: int, num_kv_heads: int, head_dim: int) -> None:
        self.rows, self.kv_heads, self.sharing, self.dim = rows, num_kv_heads, num_heads // num_kv_heads, head_dim
        self.scale = np.array([1 / math.sqrt(head_dim)], np.float32)
        from engine.runner.loops.decode import attend_address  # compiled now, not in the first decode

        self.address = attend_address

    def attender(self, table: Ints, num_tokens: Ints) -> AttendCached:
        """A function from a layer and Q, [size, num_heads, head_dim], of one new token of each request."""
        threads, size = torch.get_num_threads(), len(table)
        alone = int(num_tokens.sum()) * self.rows.shape[2] * self.rows.element_size() <= ALONE_BYTES
        parts = self.kv_heads if size < threads and not alone else 1
        blocks = np.ascontiguousarray(padded_table(table, -(-int(num_tokens.max()) // BLOCK_SIZE)), np.int64)
        heads = self.kv_heads, self.sharing, self.dim
        sizes = np.array([size, *heads, blocks.shape[1], 0, self.rows.shape[1], parts, self.rows.element_size() == 2])
        arrays = self.scale, sizes, blocks, np.ascontiguousarray(num_tokens, np.int64)
        return partial(self._attend, arrays, 1 if alone else min(threads, size * parts))

    def _attend(self, arrays: tuple[Array, ...], num_threads: int, layer: int, q: torch.Tensor) -> torch.Tensor:
        queries = q.float()
        assert queries.stride()[1:] == (self.dim, 1)
        out = queries.new_empty(q.shape)
        scale, sizes, blocks, num_tokens = arrays
        sizes[5] = queries.stride(0)
        given = scale, sizes, self.rows[layer], blocks, num_tokens, queries, out
        team.run(self.address, *given, threads=num_threads)
        return out.to(q.dtype)


def decode_loops(rows: torch.Tensor, num_heads: int, num_kv_heads: int, head_dim: int) -> DecodeLoops | None:
    """Those of a cache, [num_layers, tokens, 2 * num_kv_heads * head_dim]; None where they do not run.

    They do on a CPU in float32 and bf16, where numba is installed and torch's threads are GNU's OpenMP.
    """
    runs = rows.device.type == "cpu" and rows.dtype in (torch.float32, torch.bfloat16) and team.has_team()
    return DecodeLoops(rows, num_heads, num_kv_heads, head_dim) if runs else None
